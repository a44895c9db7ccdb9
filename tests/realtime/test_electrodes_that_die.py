"""A session whose electrodes die and come back: which weights a window is decoded with, and what is said of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.schema import ArtefactSettings
from realtime.decoding.missing_channels import MissingChannels, channel_covariance
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Refused
from realtime.session import Decoded, PreStimulusDecoded, Session
from realtime.sources.base import Notice
from tests.support.session_parts import CONFIG, RATE, SPEC, ListSource, bundle, recording

LIMITED = CONFIG.model_copy(update={"artefacts": ArtefactSettings(peak_to_peak_uv=150.0, flat_uv=0.1)})
EVERY = range(0, 100_000, 10)
DEATHS = st.lists(
    st.tuples(st.integers(0, 2), st.floats(4.0, 13.0), st.floats(0.2, 4.0), st.sampled_from(["flat", "rail", "wild"])),
    min_size=1,
    max_size=5,
)


def calibration():
    rng = np.random.default_rng(5)
    mixing = rng.standard_normal((3, 3))
    plain = bundle()
    mean = rng.standard_normal(plain.mean_input.shape).astype(np.float32)
    return replace(
        plain, mean_input=mean, covariance=(mixing @ mixing.T).astype(np.float32), use=np.eye(3, dtype=np.float32)
    )


def dying(deaths):
    timestamps, samples, markers = recording()
    samples = samples + np.random.default_rng(7).standard_normal(samples.shape).astype(np.float32)
    for electrode, start_s, lasts_s, how in deaths:
        part = slice(int(start_s * RATE), int((start_s + lasts_s) * RATE))
        n = len(samples[part])
        what = {"flat": samples[part.start, electrode], "rail": 187_000.0, "wild": 3e3 * np.sin(np.arange(n))}
        samples[part, electrode] = what[how]
    return timestamps, samples, markers


def run(source, config=LIMITED, made=None):
    return list(Session(config, made or calibration(), source, None, clock=lambda: 0.0).run())


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def without(event):
    return tuple(flag.removeprefix("without ") for flag in event.percept.flags if flag.startswith("without "))


@settings(max_examples=12, deadline=None)
@given(DEATHS, st.lists(st.integers(1, 3499), min_size=1, max_size=100), st.floats(0.0, 1.5))
def test_a_window_is_decoded_with_the_weights_of_the_electrodes_that_it_names_however_it_came(deaths, cuts, late):
    """Live, in other chunks with late markers, and from a recording: the same electrodes, the same numbers."""
    made = calibration()
    session = Session(LIMITED, made, ListSource(*dying(deaths), EVERY), None, clock=lambda: 0.0)
    whole = {event.percept.trial: event for event in session.run() if isinstance(event, Decoded)}
    makes = MissingChannels(session._decoder.whole, made.mean_input, channel_covariance(made), SPEC.channels)
    for event in whole.values():
        used = makes.without(without(event))
        window = event.epoch.samples.astype(np.float64)
        expected = used.bias + window.reshape(-1) @ used.weights
        scale = np.abs(window).reshape(-1) @ np.abs(used.weights)
        assert np.all(np.abs(event.single - expected) <= 1e-5 * scale + 1e-3)
    makes.close()
    again = {event.percept.trial: event for event in of(Decoded, run(ListSource(*dying(deaths), cuts, late)))}
    assert again.keys() == whole.keys()
    for trial, event in again.items():
        assert event.percept.flags == whole[trial].percept.flags
        np.testing.assert_allclose(event.single, whole[trial].single, rtol=1e-4, atol=1e-4 * np.abs(event.single).max())


def test_an_electrode_that_dies_is_left_out_from_the_next_window_on_and_comes_back():
    events = run(ListSource(*dying([(1, 7.2, 2.0, "flat")]), EVERY))
    flags = {event.epoch.marker.timestamp: event.percept.flags for event in of(Decoded, events)}
    out = [timestamp for timestamp, said in flags.items() if "without Oz" in said]
    assert 107.4 < min(out) <= 107.51
    assert max(out) == pytest.approx(111.0013)  # good from 109.2 s on, for two seconds
    holds_it = [timestamp for timestamp, said in flags.items() if "lost Oz" in said]
    assert holds_it == [pytest.approx(107.0013)]  # from 7.0 to 7.4 s
    changes = of(ElectrodeChange, events)
    assert [(change.electrodes, change.out) for change in changes] == [(("Oz",), True), (("Oz",), False)]
    told = [event.text for event in of(Notice, events) if event.kind == "electrodes"]
    assert len(told) == 2
    assert told[0].startswith("electrode Oz is flat")
    assert len(of(Decoded, events)) + len(of(Refused, events)) == 16


def test_a_rail_does_not_reach_the_embeddings_of_later_windows():
    """Only what is guessed of the electrode differs from the session in which it was good."""
    good = {event.percept.trial: event for event in of(Decoded, run(ListSource(*dying([]), EVERY)))}
    railed = of(Decoded, run(ListSource(*dying([(2, 8.1, 9.0, "rail")]), EVERY)))
    later = [event for event in railed if event.epoch.marker.timestamp > 108.5]
    assert later
    for event in later:
        assert without(event) == ("O2",)
        whole = good[event.percept.trial].single
        assert np.linalg.norm(event.single - whole) < 5 * np.linalg.norm(whole)


def test_when_all_are_out_trials_are_refused_and_the_session_goes_on():
    events = run(ListSource(*dying([(place, 7.2, 2.0, "flat") for place in range(3)]), EVERY))
    refused = of(Refused, events)
    assert {event.kind for event in refused} == {"electrodes"}
    assert of(Decoded, events)[-1].epoch.marker.timestamp > 111.5


def test_refusing_what_is_marked_does_not_refuse_what_is_decoded_without_the_electrode():
    drop = LIMITED.artefacts.model_copy(update={"drop": True})
    events = run(ListSource(*dying([(1, 7.2, 9.0, "flat")]), EVERY), LIMITED.model_copy(update={"artefacts": drop}))
    assert [event.reason for event in of(Refused, events)] == ["artefact: lost Oz"]
    assert len(of(Decoded, events)) == 15


def test_electrodes_stay_in_where_the_settings_say_so():
    never = LIMITED.artefacts.model_copy(update={"take_out": False})
    events = run(ListSource(*dying([(1, 7.2, 9.0, "flat")]), EVERY), LIMITED.model_copy(update={"artefacts": never}))
    assert not of(ElectrodeChange, events)
    assert not any(without(event) for event in of(Decoded, events))


def test_the_pre_stimulus_window_is_decoded_without_the_electrode_as_well():
    events = run(ListSource(*dying([(1, 7.2, 9.0, "rail")]), EVERY))
    earlier = [event for event in of(PreStimulusDecoded, events) if event.marker.timestamp > 108.2]
    assert earlier
    assert all(np.abs(event.single).max() < 1e4 for event in earlier)
