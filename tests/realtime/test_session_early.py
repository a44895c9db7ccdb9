"""Windows that are answered before they end, and those that end because they are decided."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.decoding.evidence import ConfidenceModel
from realtime.epoching.epochs import Refused, Retracted
from realtime.session import Answered, Decoded, Session
from tests.support.session_parts import CONFIG, RATE, ListSource, SlowRenderer, bundle, early_answers, recording

EVERY = range(0, 100_000, 10)
TIMES_S = (0.1, 0.2, 0.3)


def config(decide_above=1.0, **evidence):
    given = {"answer_at_s": TIMES_S, "decide_above": decide_above} | evidence
    return CONFIG.model_copy(update={"evidence": CONFIG.evidence.model_copy(update=given)})


def calibration(gain=0.02):
    """`gain` decides how sure it is: of a random map the embeddings are far longer than any picture's."""
    return replace(bundle(), early=early_answers(), confidence=ConfidenceModel(gain, 0.3, 1e9))


def run(source, settings=None, renderer=None, bundle=None):
    session = Session(settings or config(), bundle or calibration(1e-6), source, renderer, clock=lambda: 0.0)
    return list(session.run())


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def told(events):
    return {(event.percept.trial, event.percept.at_s): event for event in of((Answered, Decoded), events)}


def test_each_answer_is_of_the_samples_until_its_time_and_comes_before_the_whole():
    events = run(ListSource(*recording(), EVERY))
    answered, decoded = of(Answered, events), of(Decoded, events)
    assert [event.percept.at_s for event in answered if event.percept.trial == 3] == list(TIMES_S)
    assert len(answered) == 3 * len(decoded) == 48
    for event in answered:
        whole = next(one for one in decoded if one.percept.trial == event.percept.trial)
        assert events.index(event) < events.index(whole)
        np.testing.assert_array_equal(event.epoch.samples, whole.epoch.samples[: round(event.percept.at_s * 125)])
        early = calibration().early.at(event.percept.at_s, bundle().mean_input, 0.0, 125.0)
        given = bundle()
        window = early.completion @ event.epoch.samples  # the mean window is zero
        expected = given.bias + np.einsum("tc,tcd->d", window, given.weights)
        np.testing.assert_allclose(event.single, expected, rtol=1e-3, atol=1e-2)


def test_the_whole_window_comes_to_the_same_bits_with_and_without_answers_before():
    without = of(Decoded, run(ListSource(*recording(), EVERY), CONFIG, bundle=bundle()))
    with_them = of(Decoded, run(ListSource(*recording(), EVERY)))
    assert len(without) == len(with_them) == 16
    for one, other in zip(without, with_them, strict=True):
        np.testing.assert_array_equal(one.single, other.single)
        np.testing.assert_array_equal(one.percept.embedding, other.percept.embedding)


@pytest.fixture(scope="module")
def in_chunks_of_ten():
    return told(run(ListSource(*recording(), EVERY), config(0.6), bundle=calibration()))


@settings(max_examples=10)
@given(st.lists(st.integers(1, 3499), min_size=0, max_size=100))
def test_however_it_is_chunked_the_answers_are_the_same(in_chunks_of_ten, cuts):
    """Bit for bit: an answer is a product with the whole window so far, however that came."""
    pieces = told(run(ListSource(*recording(), cuts), config(0.6), bundle=calibration()))
    assert pieces.keys() == in_chunks_of_ten.keys()
    for key, event in pieces.items():
        whole = in_chunks_of_ten[key]
        if key[1] is not None:
            np.testing.assert_array_equal(event.single, whole.single)
        assert event.percept.decided == whole.percept.decided
        assert event.percept.confidence == pytest.approx(whole.percept.confidence, rel=1e-4)


def test_a_decided_answer_ends_its_window_and_counts_for_the_repeats():
    events = run(ListSource(*recording(), EVERY), config(0.6), bundle=calibration(0.02))
    decoded = of(Decoded, events)
    assert len(decoded) == 16
    ended = [event for event in decoded if event.percept.at_s is not None]
    assert ended
    for event in ended:
        assert event.percept.decided
        assert len(event.epoch.samples) == round(event.percept.at_s * 125)
        later = [one for one in of(Answered, events) if one.percept.trial == event.percept.trial]
        assert all(one.percept.at_s < event.percept.at_s and not one.percept.decided for one in later)
    shown = [event.percept.repeats for event in decoded if event.percept.picture == "p2"]
    assert shown == [1, 2, 3, 4]


def test_a_hole_behind_a_decided_answer_spoils_nothing_and_one_within_it_does():
    settings, sure = config(1e-6), calibration(0.02)  # every window ends with its first answer
    onset = int(3.0 * RATE) + int(5.0 * RATE)  # of trial 6
    behind = run(ListSource(*recording(drop=slice(onset + 40, onset + 50)), EVERY), settings, bundle=sure)
    assert 6 in [event.percept.trial for event in of(Decoded, behind)]
    assert 6 not in {event.trial for event in of((Refused, Retracted), behind)}
    within = run(ListSource(*recording(drop=slice(onset + 5, onset + 10)), EVERY), settings, bundle=sure)
    gone = {event.trial for event in of((Refused, Retracted), within)}
    assert 6 in gone


def test_the_first_answer_that_is_sure_enough_is_painted_once_and_the_whole_after_it():
    class Noting(SlowRenderer):
        def __init__(self):
            super().__init__()
            self.asked = []

        def submit(self, request):
            self.asked.append((request.trial, request.at_s, request.preview))
            return super().submit(request)

    renderer = Noting()
    run(ListSource(*recording(), EVERY), config(preview_above=0.0), renderer)
    assert renderer.asked == [one for trial in range(16) for one in ((trial, 0.1, True), (trial, None, False))]
    renderer = Noting()
    run(ListSource(*recording(), EVERY), config(preview_above=1.0), renderer)
    assert renderer.asked == [(trial, None, False) for trial in range(16)]


def test_no_preview_comes_between_an_earlier_trial_and_its_picture():
    class Noting(SlowRenderer):
        asked: tuple = ()

        def submit(self, request):
            self.asked += ((request.trial, request.preview),)
            return super().submit(request)

    timestamps, samples, markers = recording()
    close = [replace(markers[0], timestamp=105.0 + 0.15 * k) for k in range(20)]
    renderer = Noting()
    run(ListSource(timestamps, samples, close, EVERY), config(preview_above=0.0), renderer)
    order = [trial for trial, _ in renderer.asked]
    assert order == sorted(order)
    assert sum(not preview for _, preview in renderer.asked) == 20


def test_a_paused_session_answers_nothing():
    session = Session(config(), calibration(), ListSource(*recording(), EVERY), None, clock=lambda: 0.0)
    session.paused = True
    assert not of((Answered, Decoded), list(session.run()))
