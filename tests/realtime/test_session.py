import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import MarkerSettings
from realtime.decoding.bundle import BundleError
from realtime.epoching.epochs import Refused
from realtime.epoching.pipeline import Pipeline
from realtime.rendering.messages import Frame
from realtime.session import Decoded, PreStimulusDecoded, Session, Tick
from realtime.timeline.sample_grid import Hole
from tests.support.session_parts import CONFIG, DIMS, RATE, SPEC, ListSource, SlowRenderer, bundle, recording

EVERY = range(0, 100_000, 10)


def run(source, renderer=None, config=CONFIG, calibration=None):
    session = Session(config, calibration or bundle(), source, renderer, clock=lambda: 0.0)
    return list(session.run())


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


@cache
def in_even_chunks():
    return {event.percept.trial: event for event in of(Decoded, run(ListSource(*recording(), EVERY)))}


def test_each_embedding_is_the_map_of_its_epoch():
    calibration = bundle()
    decoded = of(Decoded, run(ListSource(*recording(), EVERY)))
    assert len(decoded) == 16
    for event in decoded:
        expected = calibration.bias + np.einsum("tc,tcd->d", event.epoch.samples, calibration.weights)
        np.testing.assert_allclose(event.single, expected, rtol=1e-3, atol=1e-3)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 3499), min_size=1, max_size=200), st.floats(0.0, 1.5))
def test_however_it_is_chunked_and_however_late_the_markers_the_embeddings_are_the_same(cuts, late):
    whole = in_even_chunks()
    pieces = {e.percept.trial: e for e in of(Decoded, run(ListSource(*recording(), cuts, late)))}
    assert pieces.keys() == whole.keys()
    for trial, event in pieces.items():
        np.testing.assert_array_equal(event.epoch.samples, whole[trial].epoch.samples)
        scale = np.abs(whole[trial].single).max()
        np.testing.assert_allclose(event.single, whole[trial].single, atol=1e-5 * scale)


def test_the_offset_that_was_calibrated_moves_the_epochs_unless_the_config_has_its_own():
    """A photodiode's offset: the light came that long after each marker, so the EEG of each picture lies later."""
    offset_s = 0.06
    timestamps, samples, markers = recording()
    moved = [replace(marker, timestamp=marker.timestamp + offset_s) for marker in markers]
    expected = of(Decoded, run(ListSource(timestamps, samples, moved, EVERY)))
    calibrated = replace(bundle(), fit={"marker_offset_s": offset_s})
    found = of(Decoded, run(ListSource(timestamps, samples, markers, EVERY), calibration=calibrated))
    plain = of(Decoded, run(ListSource(timestamps, samples, markers, EVERY)))
    assert len(found) == len(expected) == len(plain)
    for one, other, unmoved in zip(found, expected, plain, strict=True):
        np.testing.assert_array_equal(one.epoch.samples, other.epoch.samples)
        np.testing.assert_array_equal(one.single, other.single)
        assert one.epoch.onset == pytest.approx(unmoved.epoch.onset + offset_s)
        assert not np.array_equal(one.single, unmoved.single)
    own = CONFIG.model_copy(update={"markers": MarkerSettings(offset_s=0.0)})
    again = of(Decoded, run(ListSource(timestamps, samples, markers, EVERY), config=own, calibration=calibrated))
    np.testing.assert_array_equal(again[0].single, plain[0].single)


def test_repeats_add_up():
    decoded = of(Decoded, run(ListSource(*recording(), EVERY)))
    shown = [event for event in decoded if event.percept.picture == "p2"]
    assert [event.percept.repeats for event in shown] == [1, 2, 3, 4]
    mean = np.mean([event.single for event in shown], axis=0)
    np.testing.assert_allclose(shown[-1].percept.embedding, mean, rtol=1e-4, atol=1e-4)


def test_a_window_over_a_hole_gives_no_percept_and_the_others_stay():
    whole = {e.percept.trial: e for e in of(Decoded, run(ListSource(*recording(), EVERY)))}
    hole_at = int(8.1 * RATE)
    events = run(ListSource(*recording(drop=slice(hole_at, hole_at + 50)), EVERY))
    decoded = {e.percept.trial: e for e in of(Decoded, events)}
    assert sum(hole.lost for hole in of(Hole, events)) == 50
    refused = {event.trial for event in of(Refused, events)}
    assert 6 in refused  # its onset is at 8.0 s
    assert refused | decoded.keys() == whole.keys()
    assert not refused & decoded.keys()
    for trial in range(5):
        np.testing.assert_array_equal(decoded[trial].single, whole[trial].single)


@settings(max_examples=12, deadline=None)
@given(st.integers(1500, 3000), st.integers(1, 300))
def test_with_decimation_no_window_that_is_cut_touches_a_hole(hole_at, lost):
    """The filters halve the rate here, and a hole is told in samples of the stream."""
    events = run(ListSource(*recording(drop=slice(hole_at, hole_at + lost)), EVERY))
    first_lost, next_seen = 100.0 + (hole_at - 1) / RATE, 100.0 + (hole_at + lost) / RATE
    for kind, (before_s, after_s) in ((Decoded, (0.0, 0.4)), (PreStimulusDecoded, (0.4, 0.0))):
        found = of(kind, events)
        assert found
        for event in found:
            marker = event.epoch.marker if kind is Decoded else event.marker
            assert marker.timestamp + after_s <= first_lost + 0.01 or marker.timestamp - before_s >= next_seen - 0.01
    assert len(of(Decoded, events)) + len({event.trial for event in of(Refused, events)}) == 16


def test_the_pre_stimulus_window_ends_at_the_onset():
    calibration = bundle()
    timestamps, samples, markers = recording()
    earlier = [replace(marker, timestamp=marker.timestamp - 0.4) for marker in markers]
    shifted = of(Decoded, run(ListSource(timestamps, samples, earlier, EVERY), calibration=calibration))
    earlier = of(PreStimulusDecoded, run(ListSource(timestamps, samples, markers, EVERY), calibration=calibration))
    assert len(earlier) == len(shifted) == 16
    for early, true in zip(earlier, shifted, strict=True):
        np.testing.assert_allclose(early.single, true.single, rtol=1e-4, atol=1e-3)


def test_the_renderer_gets_every_percept_and_the_last_one_is_waited_for():
    renderer = SlowRenderer()
    events = run(ListSource(*recording(), EVERY), renderer)
    frames = of(Frame, events)
    assert renderer.number == 16  # every percept was left for it, although it never came to paint
    assert [frame.step for frame in frames] == [1, 2]
    assert frames[-1].trial == of(Decoded, events)[-1].percept.trial


def test_too_little_evidence_is_not_painted():
    from realtime.decoding.evidence import ConfidenceModel

    never_sure = replace(bundle(), confidence=ConfidenceModel(0.0, 0.0, 1.0))
    evidence = CONFIG.evidence.model_copy(update={"abstain_below": 0.5})
    renderer = SlowRenderer()
    events = run(
        ListSource(*recording(), EVERY), renderer, CONFIG.model_copy(update={"evidence": evidence}), never_sure
    )
    assert len(of(Decoded, events)) == 16
    assert renderer.number == 0
    assert not of(Frame, events)


def test_ticks_follow_the_data():
    ticks = of(Tick, run(ListSource(*recording(), EVERY)))
    assert [tick.timestamp for tick in ticks] == sorted(tick.timestamp for tick in ticks)
    assert ticks[-1].timestamp == pytest.approx(100 + 14 - 1 / RATE)


def test_channels_in_another_order_are_put_right():
    timestamps, samples, markers = recording()
    other = replace(SPEC, channels=("EOG", "O2", "Oz", "O1"))
    shuffled = np.concatenate([np.full((len(samples), 1), 99, np.float32), samples[:, ::-1]], axis=1)
    expected = of(Decoded, run(ListSource(timestamps, samples, markers, EVERY)))
    got = of(Decoded, run(ListSource(timestamps, shuffled, markers, EVERY, spec=other)))
    for one, two in zip(expected, got, strict=True):
        np.testing.assert_allclose(one.single, two.single, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (replace(SPEC, channels=("O1", "O2")), "channels missing: Oz"),
        (replace(SPEC, rate_hz=500.0), "250 Hz expected, 500 Hz found"),
    ],
)
def test_another_stream_than_the_bundles_is_refused(spec, says):
    with pytest.raises(BundleError, match=says):
        run(ListSource(*recording(), EVERY, spec=spec))


def test_other_filters_than_the_bundles_are_refused():
    filters = CONFIG.filters.model_copy(update={"lowpass_hz": 30.0})
    with pytest.raises(BundleError, match="lowpass_hz"):
        run(ListSource(*recording(), EVERY), config=CONFIG.model_copy(update={"filters": filters}))


def test_the_map_fits_what_the_pipeline_cuts():
    assert bundle().weights.shape == (Pipeline(CONFIG, SPEC).n_times, 3, DIMS)


def test_slow_changes_are_followed_only_where_asked_and_told():
    plain = of(Decoded, run(ListSource(*recording(), EVERY)))
    assert all(event.drift is None for event in plain)
    evidence = CONFIG.evidence.model_copy(update={"adapt": "follow", "adapt_trials": 10})
    followed = of(
        Decoded, run(ListSource(*recording(), EVERY), config=CONFIG.model_copy(update={"evidence": evidence}))
    )
    shifts = [event.drift["shift"] for event in followed]
    assert all(0 < shift <= 1 for shift in shifts)
    assert {event.drift["scale"] for event in followed} == {1.0}, "no usual length is known without a confidence model"
    assert not np.array_equal(plain[-1].single, followed[-1].single)


def adapted(adapt, cuts, late=0.0, known=True, seconds=14.0):
    """The percepts of a session that aligns itself to its first ten windows."""
    evidence = CONFIG.evidence.model_copy(update={"adapt": adapt, "adapt_windows": 10})
    covariance = np.diag([900.0, 400.0, 900.0]).astype(np.float32)
    calibrated = replace(bundle(), window_covariance=covariance if known else None)
    source = ListSource(*recording(seconds), cuts, late=late)
    config = CONFIG.model_copy(update={"evidence": evidence})
    return of(Decoded, Session(config, calibrated, source, None, clock=time.perf_counter).run())


@pytest.mark.parametrize("adapt", ["eeg", "embeddings", "both"])
def test_which_windows_are_aligned_does_not_depend_on_how_the_samples_came(adapt):
    plain = of(Decoded, run(ListSource(*recording(), EVERY)))
    expected = adapted(adapt, EVERY)
    assert [event.drift is None for event in expected] == [True] * 10 + [False] * (len(expected) - 10)
    for before, after in zip(plain[:10], expected, strict=False):
        np.testing.assert_allclose(before.single, after.single, rtol=1e-5, atol=1e-5)
    assert not np.allclose(plain[12].single, expected[12].single, rtol=0.05)
    rng = np.random.default_rng(0)
    for cuts, late in ((range(0, 3500, 700), 0.0), (range(0, 3500, 31), 0.3), (rng.integers(0, 3500, 40), 0.1)):
        found = adapted(adapt, cuts, late)
        assert [event.percept.trial for event in found] == [event.percept.trial for event in expected]
        for event, same in zip(found, expected, strict=True):
            assert event.drift == pytest.approx(same.drift)
            np.testing.assert_allclose(event.single, same.single, rtol=1e-3, atol=1e-3 * np.abs(same.single).max())


def test_a_bundle_that_does_not_say_how_the_eeg_varied_cannot_be_aligned_to():
    with pytest.raises(BundleError, match=r"evidence\.adapt: eeg compares .* fit it again"):
        adapted("eeg", EVERY, known=False)
    assert adapted("embeddings", EVERY, known=False)


def test_each_percept_knows_when_its_marker_came():
    times = iter(np.arange(0.0, 1e6))
    session = Session(
        CONFIG, bundle(), ListSource(*recording(), EVERY, live=True), None, clock=lambda: float(next(times))
    )
    ledgers = [event.percept.ledger for event in session.run() if isinstance(event, Decoded)]
    came = [ledger["marker"] for ledger in ledgers]
    assert came == sorted(came)
    assert all(ledger["marker"] < ledger["embedding"] for ledger in ledgers)
    past = Session(CONFIG, bundle(), ListSource(*recording(), EVERY), None, clock=lambda: 0.0)
    assert all("marker" not in event.percept.ledger for event in past.run() if isinstance(event, Decoded))
