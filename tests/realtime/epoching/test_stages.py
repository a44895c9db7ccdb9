"""A stage that fails is told and begins again; pictures come in order, and as soon as they are painted."""

import queue
import threading

import numpy as np
import pytest

from realtime.epoching.epochs import Closed, Refused
from realtime.epoching.pipeline import Pipeline, PreStimulus, Settled
from realtime.failures import MOST, WITHIN_S, Failures, SessionFailedError
from realtime.painter import Late, Painter
from realtime.rendering.frame_queue import FrameQueue
from realtime.rendering.messages import Frame, RendererNotice, RenderState
from realtime.session import Decoded, Session, Tick
from realtime.sources.base import WOKEN, Chunk, Marker, Notice
from realtime.timeline.timeline import Timeline
from tests.support.session_parts import CONFIG, SPEC, ListSource, SlowRenderer, bundle, recording

EVERY = range(0, 100_000, 10)
PATIENCE_S = 90.0


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def failing(monkeypatch, chunks):
    """Have the time axis raise at these chunks, counted from 1."""
    push, count = Timeline.push, [0]

    def fail(self, chunk):
        count[0] += 1
        if count[0] in chunks:
            msg = "float division by zero"
            raise ZeroDivisionError(msg)
        return push(self, chunk)

    monkeypatch.setattr(Timeline, "push", fail)


def run(seconds=20.0, renderer=None):
    return list(Session(CONFIG, bundle(), ListSource(*recording(seconds), EVERY), renderer, clock=lambda: 0.0).run())


def test_a_failure_on_the_way_to_the_percept_costs_the_open_window_and_the_settling(monkeypatch):
    whole = run()
    failing(monkeypatch, {130})
    events = run()
    (notice,) = of(Notice, events)
    assert notice.kind == "failed"
    assert notice.text == "decoding failed: ZeroDivisionError: float division by zero; it begins again"
    assert len(of(Tick, events)) == len(of(Tick, whole)), "the source is read on"
    found, expected = of(Decoded, events), of(Decoded, whole)
    refused = of(Refused, events)
    trials = [event.percept.trial for event in found] + [event.trial for event in refused]
    assert sorted(trials) == list(range(len(expected))), "each trial is told once, under its own number"
    first = refused[0]
    assert "decoding failed" in first.reason
    assert 1 < len(refused) < len(expected) / 2
    after = [event for event in found if event.percept.trial > first.trial]
    assert after
    by_trial = {event.percept.trial: event for event in expected}
    for event in after:
        np.testing.assert_allclose(event.single, by_trial[event.percept.trial].single, rtol=0.02, atol=0.05)


def test_one_that_fails_at_every_chunk_ends_the_session(monkeypatch):
    failing(monkeypatch, range(100, 10_000))
    events = []
    session = Session(CONFIG, bundle(), ListSource(*recording(), EVERY), None, clock=lambda: 0.0)
    with pytest.raises(SessionFailedError, match=r"decoding failed: ZeroDivisionError.* \(5 times within 10 s\)"):
        events.extend(session.run())


def test_failures_far_apart_or_of_several_stages_do_not_add_up():
    now = [0.0]
    failures = Failures(lambda: now[0])
    for _ in range(3 * MOST):
        now[0] += WITHIN_S / (MOST - 1)
        failures.note("decoding", ValueError("a"))
        failures.note("painting", ValueError("b"))
    now[0] += WITHIN_S
    for _ in range(MOST - 1):
        failures.note("decoding", ValueError("a"))
    with pytest.raises(SessionFailedError):
        failures.note("decoding", ValueError("a"))


def test_a_renderer_that_cannot_be_asked_costs_pictures_and_no_percept():
    class Deaf(SlowRenderer):
        def submit(self, request):
            if request.trial < 3:
                msg = "too large"
                raise ValueError(msg)
            return super().submit(request)

    events = run(renderer=Deaf())
    assert len(of(Decoded, events)) == len(of(Decoded, run()))
    told = [event.text for event in of(Notice, events)]
    assert told == [f"painting failed: ValueError: too large; trial {trial} is not painted" for trial in range(3)]
    assert of(Frame, events)


class Handed(FrameQueue):
    """A renderer whose pictures are handed in by the test."""

    state = RenderState("ready", "")

    def __init__(self):
        super().__init__()
        self.asked = queue.SimpleQueue()
        self._number = 0

    def submit(self, request):
        self._number += 1
        self.asked.put((self._number, request))
        return self._number

    def hand_in(self, number, step=1, of=1, trial=0):
        self._hand_out(Frame(trial, step, of, np.zeros((4, 4, 3), np.uint8), {}, number))

    def give_up(self, number, text):
        self._tell(RendererNotice("failed", text, number))


def test_a_picture_that_comes_late_never_follows_a_newer_one():
    renderer = Handed()
    painter = Painter(renderer, lambda: 0.0, CONFIG.render)
    renderer.hand_in(1, 1, 2)
    renderer.hand_in(3, 1, 2)
    renderer.hand_in(1, 2, 2)  # final, but the slow worker's
    renderer.hand_in(2, 1, 2)
    first = list(painter.news())
    renderer.hand_in(2, 2, 2)
    renderer.hand_in(3, 2, 2)
    second = list(painter.news())
    assert [(frame.request, frame.step) for frame in of(Frame, first + second)] == [(1, 1), (3, 1), (3, 2)]
    assert [late.frame.request for late in of(Late, first + second)] == [1, 2], "their final pictures are kept"


def test_a_request_that_is_given_up_is_not_waited_for():
    renderer = Handed()
    session = Session(CONFIG, bundle(), ListSource(*recording(6.1), EVERY), renderer, clock=lambda: 0.0)
    events = []
    for event in session.run():
        events.append(event)
        if isinstance(event, Decoded):
            renderer.give_up(1, "trial 0: NaN")
    assert [event.text for event in of(Notice, events)] == ["renderer: trial 0: NaN"]


class SilentAfter:
    """A stream that is silent once its samples are sent, until the test lets it end."""

    def __init__(self, source):
        self.spec = source.spec
        self._source = source
        self._stirred = threading.Event()
        self._closed = False

    def events(self):
        yield from self._source.events()
        while not self._closed:
            assert self._stirred.wait(PATIENCE_S), "the stream waits for ever"
            self._stirred.clear()
            yield WOKEN

    def wake(self):
        self._stirred.set()

    def close(self):
        self._closed = True
        self._stirred.set()


def test_a_picture_is_in_hand_though_no_sample_comes():
    renderer, painted = Handed(), threading.Event()
    source = SilentAfter(ListSource(*recording(6.1), EVERY))
    session = Session(CONFIG, bundle(), source, renderer, clock=lambda: 0.0)

    def paint():
        number, request = renderer.asked.get(timeout=PATIENCE_S)
        painted.wait(PATIENCE_S)
        renderer.hand_in(number, trial=request.trial)

    thread = threading.Thread(target=paint)
    thread.start()
    last_tick, events = float(recording(6.1)[0][-1]), []
    for event in session.run():
        events.append(event)
        if isinstance(event, Tick) and event.timestamp == last_tick:
            painted.set()  # no sample follows
        if isinstance(event, Frame):
            session.tell("lost", "something else")
        if isinstance(event, Notice):
            source.close()
    thread.join()
    assert [type(event) for event in events[-2:]] == [Frame, Notice]
    assert not of(Chunk, events)


def test_a_pipeline_begins_again_with_the_next_number():
    pipeline = Pipeline(CONFIG, ListSource(*recording(), EVERY).spec, pre_stimulus=True)
    timestamps, samples, markers = recording()
    for marker in markers[:3]:
        list(pipeline.push(marker))
    again = pipeline.again()
    list(again.push(Chunk(timestamps[:500], samples[:500])))
    list(again.push(markers[3]))
    assert [event.trial for event in again.abandon("it ends") if isinstance(event, Refused)] == [3]


@pytest.mark.parametrize(("hole", "early_s"), [(None, 0.5), (slice(275, 325), 1.1)])
def test_a_stimulus_after_all_has_settled_has_its_windows_and_an_early_one_has_not(hole, early_s):
    timestamps, samples, _ = recording(drop=hole)
    window = CONFIG.window.model_copy(update={"baseline_s": (-0.2, 0.0)})
    pipeline = Pipeline(CONFIG.model_copy(update={"window": window}), SPEC, pre_stimulus=True)
    settled, closed = [], set()
    for start in range(0, len(timestamps), 10):
        piece = slice(start, start + 10)
        events = list(pipeline.push(Chunk(timestamps[piece], samples[piece], float(timestamps[piece][-1]))))
        settled += of(Settled, events)
        if of(Settled, events):
            for timestamp in (settled[0].timestamp + 1e-4, settled[0].timestamp - early_s):
                events += pipeline.push(Marker(timestamp, "picture", "p0"))
        closed |= {(True, one.trial) for one in of(Closed, events)}
        closed |= {(False, one.event.trial) for one in of(PreStimulus, events) if isinstance(one.event, Closed)}
    assert len(settled) == 1
    assert settled[0].timestamp > timestamps[0] + (1.6 if hole is None else 2.9)
    assert closed == {(True, 0), (False, 0)}
