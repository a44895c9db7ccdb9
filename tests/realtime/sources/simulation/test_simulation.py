"""The simulated participant without a clock: what it answers to, what it never does, and how well it can be read."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from configs.schema import PictureSettings, StimulusSettings
from realtime.electrodes import CHANNELS_64
from realtime.sources.simulation.background import Background, BackgroundSettings
from realtime.sources.simulation.evoked import FIRST_S, LAST_S, EvokedResponse, activations, components
from realtime.sources.simulation.features import Features, picture_features
from realtime.sources.simulation.head import directions, topography
from realtime.sources.simulation.participant import Participant, SimulationSettings, simulate_recording
from stimuli.markers import Marker
from stimuli.pictures import choose_pictures, open_pictures
from stimuli.sequence import plan

SILENT = BackgroundSettings(pink_uv=0, alpha_uv=0, blink_uv=0, mains_uv=0, sensor_uv=0)
STEADY = SimulationSettings(background=SILENT, gain_spread=0, jitter_s=0)
PARTS = components(CHANNELS_64)
RESPONSE = EvokedResponse(PARTS)


@cache
def drawn(split="all"):
    return open_pictures(PictureSettings(), split)


def test_topographies_are_smooth_and_peak_where_they_say():
    field = topography(CHANNELS_64, [("Oz", 1.0)], 0.4)
    assert CHANNELS_64[int(field.argmax())] == "Oz"
    assert field.max() == pytest.approx(1.0)
    order = np.argsort(directions(CHANNELS_64) @ directions(("Oz",))[0])
    assert np.all(np.diff(field[order]) >= 0)
    part = topography(("Pz", "Oz"), [("Oz", 1.0)], 0.4)
    assert part == pytest.approx(field[[CHANNELS_64.index("Pz"), CHANNELS_64.index("Oz")]])


def test_an_unknown_electrode_is_named():
    with pytest.raises(ValueError, match="channel\\(s\\) EX1"):
        components(("Oz", "EX1"))


@pytest.mark.parametrize("attribute", ["brightness", "hue", "texture", "superclass", "concept"])
def test_an_attribute_moves_its_own_components_at_their_own_time_and_nothing_else(attribute):
    plain = Features(0.0, 0.0, 0.0, 0.0, None, "smooth", "food", "apple")
    other = {"brightness": {"brightness": 2.0}, "hue": {"hue_rad": 2.0}, "texture": {"texture": "dotted"}}
    changed = replace(plain, **other.get(attribute, {attribute: "plants"}))
    difference = activations(changed, 0) - activations(plain, 0)
    moved = {part.attribute for part, amount in zip(PARTS, difference, strict=True) if abs(amount) > 1e-9}
    assert moved == {attribute}
    times = np.arange(0, 0.7, 0.004)
    power = np.square(RESPONSE.at(times, difference)).sum(1)
    latencies = [part.latency_s for part in PARTS if part.attribute == attribute]
    assert min(latencies) - 0.02 <= times[power.argmax()] <= max(latencies) + 0.02


def test_the_response_is_zero_outside_its_interval_and_components_are_named_once():
    times = np.array([-1.0, 0.0, FIRST_S - 1e-9, LAST_S + 1e-9, 5.0])
    assert not RESPONSE.at(times, np.ones(len(PARTS))).any()
    assert len({part.name for part in PARTS}) == len(PARTS)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 70), min_size=1, max_size=12), st.integers(0, 5))
def test_the_background_is_the_same_however_it_is_asked_for(cuts, seed):
    whole, parts = (Background(CHANNELS_64[-8:], 250.0, [seed], BackgroundSettings()) for _ in range(2))
    pieces = np.concatenate([parts.take(count) for count in cuts])
    np.testing.assert_allclose(pieces, whole.take(sum(cuts)), rtol=1e-9, atol=1e-9)


def test_the_background_looks_like_eeg():
    settings_ = BackgroundSettings(blink_uv=0, mains_uv=0)
    samples = Background(CHANNELS_64, 250.0, [1], settings_).take(250 * 120)
    assert 5 < samples.std(0).mean() < 20
    correlation = np.corrcoef(samples.T)
    at = CHANNELS_64.index
    assert correlation[at("Fz"), at("F1")] > 0.7 > 0.3 > abs(correlation[at("Fz"), at("Iz")])
    power = np.abs(np.fft.rfft(samples, axis=0)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / 250)

    def band(low, high, channel):
        return power[(hz >= low) & (hz < high), at(channel)].mean()

    # In a power law of exponent 1.2 a decade is a factor of about 16; alpha stands out at the back alone.
    assert 8 < band(0.9, 1.1, "Fz") / band(9.5, 10.5, "AFz") < 40
    assert band(9.5, 10.5, "Oz") > 4 * band(6.5, 7.5, "Oz")


def test_blinks_are_frontal_and_as_frequent_as_asked():
    settings_ = replace(SILENT, blink_uv=100.0, blinks_per_min=12.0)
    samples = Background(("Fpz", "Oz"), 250.0, [3], settings_).take(250 * 600)
    assert samples[:, 1].max() < 1.0
    above = samples[:, 0] > 50
    assert np.sum(above[1:] & ~above[:-1]) == pytest.approx(120, abs=35)
    assert samples[:, 0].max() == pytest.approx(100, rel=0.05)


def test_overlapping_responses_add_up_and_follow_the_onsets_to_the_microsecond():
    first, second = choose_pictures(drawn(), 2, seed=1)
    alone = [simulate_recording(drawn(), [one], STEADY, tail_s=2.0)[1] for one in ((first, 0.5), (second, 0.7))]
    both = simulate_recording(drawn(), [(first, 0.5), (second, 0.7)], STEADY, tail_s=1.8)[1]
    length = min(map(len, (*alone, both)))
    np.testing.assert_allclose(both[:length], alone[0][:length] + alone[1][:length], atol=1e-4)
    early, late = (simulate_recording(drawn(), [(first, at)], STEADY, tail_s=1.0)[1] for at in (0.5, 0.5013))
    strengths = activations(picture_features(drawn(), first), 0)
    times = np.arange(len(late)) / 250
    np.testing.assert_allclose(late, RESPONSE.at(times - 0.5013, strengths), atol=1e-4)
    assert np.abs(early - late[: len(early)]).max() > 0.01


def test_snr_zero_is_the_bare_background():
    onsets = [(name, 0.5 + 0.2 * k) for k, name in enumerate(choose_pictures(drawn(), 5, seed=0))]
    chosen = SimulationSettings(snr=0.0, seed=3)
    _, samples, _ = simulate_recording(drawn(), onsets, chosen)
    bare = Background(CHANNELS_64, 250.0, [3, 0, 0], chosen.background).take(len(samples))
    np.testing.assert_allclose(samples, bare, atol=1e-3)


def test_a_person_stays_the_same_while_the_days_differ():
    onsets = [(name, 0.5) for name in choose_pictures(drawn(), 1, seed=0)]

    def record(**changes):
        return simulate_recording(drawn(), onsets, replace(SimulationSettings(), **changes))[1]

    np.testing.assert_array_equal(record(seed=5), record(seed=5))
    assert not np.array_equal(record(), record(session=1))
    silent = {"background": SILENT, "gain_spread": 0.0, "jitter_s": 0.0}
    np.testing.assert_allclose(record(**silent), record(session=1, **silent), atol=1e-6)
    assert not np.allclose(record(**silent), record(seed=1, **silent), atol=0.1)


def test_a_marker_that_comes_late_loses_only_what_is_past_and_says_so():
    name = choose_pictures(drawn(), 1, seed=0)[0]
    participant = Participant(drawn(), STEADY, start=100.0)
    before = participant.take(40)[1]
    past = participant.see(Marker(100.06, "picture", name))
    after = participant.take(200)[1]
    assert past == pytest.approx(0.1)
    assert not before.any()
    expected = simulate_recording(drawn(), [(name, 0.06)], STEADY)[1][40:240]
    np.testing.assert_allclose(after, expected, atol=1e-4)


def test_other_markers_change_nothing():
    participant = Participant(drawn(), STEADY, start=0.0)
    participant.see(Marker(0.0, "block-start"))
    participant.see(Marker(0.0, "2"))
    assert not participant.take(100)[1].any()


@pytest.mark.parametrize(("change", "message"), [({"snr": -1.0}, "snr"), ({"rate_hz": 50.0}, "rate_hz")])
def test_what_cannot_be_simulated_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SimulationSettings(**change)


def read_out(snr):
    """Return the 2-way score of a plain ridge from 300 single trials, on 60 new pictures of one trial each.

    The targets are what was shown (concept, superclass, hue, texture), not what the simulation made of it.
    """
    chosen = [choose_pictures(drawn("calibration"), 300, seed=1), choose_pictures(drawn("test"), 60, seed=2)]
    every = [name for names in chosen for name in names]
    seen = {name: drawn().attributes(name) for name in every}
    kinds = [{key: k for k, key in enumerate(sorted({a[field] for a in seen.values()}))} for field in CATEGORIES]

    def target(name):
        known = seen[name]
        hue = np.deg2rad(known["hue_deg"])
        hot = [np.eye(len(kind))[kind[known[field]]] for field, kind in zip(CATEGORIES, kinds, strict=True)]
        return np.concatenate([*hot, [np.cos(hue), np.sin(hue), known["brightness"]]])

    sets = []
    for session, names in enumerate(chosen):
        order = plan(names, StimulusSettings(targets_per_sequence=0), seed=session).trials
        onsets = [(t.picture, 1.0 + 0.2 * t.index + t.sequence) for t in order]
        _, samples, markers = simulate_recording(drawn(), onsets, SimulationSettings(snr=snr, session=session))
        filtered = sosfilt(butter(2, (0.3, 40), "band", fs=250, output="sos"), samples, axis=0)
        windows = np.array([filtered[round(m.timestamp * 250) :][:150:3].ravel() for m in markers])
        sets.append((windows, np.array([target(m.picture) for m in markers])))
    (x, y), (new, truth) = sets
    middle, mean, scale = x.mean(0), y.mean(0), y.std(0)
    kernel = (x - middle) @ (x - middle).T
    ridge = 0.3 * np.trace(kernel) / len(kernel) * np.eye(len(kernel))
    predicted = (new - middle) @ (x - middle).T @ np.linalg.solve(kernel + ridge, (y - mean) / scale)
    likeness = np.corrcoef(predicted, (truth - mean) / scale)[: len(new), len(new) :]
    own = np.diag(likeness)[:, None]
    return float((likeness < own).sum() / (len(new) * (len(new) - 1)))


CATEGORIES = ("concept", "superclass", "texture")


@pytest.mark.slow
def test_pictures_can_be_read_out_of_single_trials_but_not_without_a_response():
    assert read_out(1.0) > 0.65
    # Chance is 0.5, with a standard deviation of about 0.02 over 60 pictures whose scores hang together.
    assert 0.4 < read_out(0.0) < 0.6
