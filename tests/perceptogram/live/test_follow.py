"""A session that is followed to its end: hours of it fit in the memory, and no observer that fails ends it."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from perceptogram.live.follow import follow
from perceptogram.live.result import KEPT_PICTURES, LiveResult
from perceptogram.live.summary import summarise
from realtime.failures import MOST, SessionFailedError
from realtime.painter import Late
from realtime.rendering.messages import Frame
from realtime.session import Decoded, PreStimulusDecoded, Session
from realtime.sources.base import Notice
from tests.support.session_parts import CONFIG, ListSource, SlowRenderer, bundle, recording

PIXELS = 64
EVERY = range(0, 1_000_000, 125)


class Eager(SlowRenderer):
    """Paints at once, pictures of a size that tells."""

    def submit(self, request):
        number = super().submit(request)
        image = np.full((PIXELS, PIXELS, 3), number % 256, np.uint8)
        self._done.append(Frame(request.trial, 1, 1, image, dict(request.ledger) | {"final_picture": 1.0}, number))
        return number

    def paint(self):
        """All is painted."""


@pytest.fixture
def result(tmp_path):
    result = LiveResult.in_folder(tmp_path)
    yield result
    result.close()


def session(seconds=14.0, renderer=None):
    return Session(CONFIG, bundle(), ListSource(*recording(seconds), EVERY), renderer, clock=lambda: 0.0)


@pytest.mark.slow
def test_what_is_kept_for_the_summary_does_not_grow_with_the_pictures(result):
    sizes = []

    def weigh(event):
        if isinstance(event, Decoded) and event.percept.trial % 210 == 209:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        assert follow(session(330.0, Eager()), result, {"scales": weigh}) is None
    finally:
        tracemalloc.stop()
    _, before, after = sizes  # by the second, all that is bounded is full
    assert after - before < 210 * 500, "2.6 MB of pictures were painted"
    assert result.n_trials > 630
    assert len(result.pictures) == 4
    assert result.painted == {name: percept.trial for name, percept in result.latest().items()}
    assert summarise(result, bundle())["single_trial"]["two_way"] is not None


def test_the_pictures_of_many_stimuli_are_bounded(result):
    image = np.zeros((4, 4, 3), np.uint8)
    (decoded,) = [event for event in session(6.1).run() if isinstance(event, Decoded)]
    for trial in range(3 * KEPT_PICTURES):
        result(replace(decoded, percept=replace(decoded.percept, trial=trial, picture=f"s{trial}")))
        result(Frame(trial, 1, 1, image, {}, trial))
    assert list(result.pictures) == [f"s{trial}" for trial in range(2 * KEPT_PICTURES, 3 * KEPT_PICTURES)]
    assert len(result.painted) == 3 * KEPT_PICTURES


def test_scores_are_those_of_everything_that_was_decoded(result):
    events = []
    follow(session(), result, {"list": events.append})
    singles = [(e.percept.picture, e.single) for e in events if isinstance(e, Decoded)]
    earlier = [(e.shown, e.single) for e in events if isinstance(e, PreStimulusDecoded)]
    for found, wanted in ((result.singles.read(), singles), (result.pre_stimulus.read(), earlier)):
        assert [name for name, _ in found] == [name for name, _ in wanted]
        np.testing.assert_array_equal([one for _, one in found], [one for _, one in wanted])


def test_an_older_picture_never_takes_the_place_of_a_newer_one_of_its_stimulus(result):
    image = np.zeros((4, 4, 3), np.uint8)
    decoded = [event for event in session(9.0).run() if isinstance(event, Decoded)]
    (first, second) = [e for e in decoded if e.percept.picture == "p0"][:2]
    result(first)
    result(second)
    result(Frame(second.percept.trial, 1, 1, image, {}, 2))
    result(Late(Frame(first.percept.trial, 1, 1, image, {}, 1)))
    assert result.pictures["p0"].trial == result.painted["p0"] == second.percept.trial


def test_an_observer_that_fails_is_told_and_asked_again(result):
    asked, heard = [], []

    def fragile(event):
        if isinstance(event, Decoded):
            asked.append(event)
            if len(asked) == 3:
                msg = "no such screen"
                raise OSError(msg)

    assert follow(session(), result, {"the display": fragile, "list": heard.append}) is None
    assert len(asked) == result.n_trials == 16
    (notice,) = [event for event in heard if isinstance(event, Notice)]
    assert (notice.kind, notice.text) == ("failed", "the display failed: OSError: no such screen")
    assert list(result.notices) == [notice.text]


def test_one_that_fails_again_and_again_ends_the_session_in_one_line(result, caplog):
    asked = []

    def broken(event):
        asked.append(event)
        msg = "out of\norder"
        raise ValueError(msg)

    failure = follow(session(), result, {"the display": broken})
    assert isinstance(failure, SessionFailedError)
    assert str(failure) == f"the display failed: ValueError: out of order ({MOST} times within 10 s)"
    assert len(asked) == MOST
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(("wanted", "painted"), [((), 1), ((True, False), 2), ((True, True, True), 4)])
def test_what_had_no_time_to_be_painted_is_painted_at_the_end_while_it_is_wanted(result, wanted, painted):
    answers = iter(wanted)
    assert follow(session(renderer=SlowRenderer()), result, {}, paint_left=lambda: next(answers, False)) is None
    assert len(result.latest()) == 4
    assert len(result.painted) == painted
