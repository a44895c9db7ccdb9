"""What the screen says follows the session, and the person at the screen may pause it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from perceptogram.live.control_observer import Steering
from perceptogram.live.display_observer import Screen
from realtime.control.control import Event
from realtime.decoding.evidence import ConfidenceModel, Percept
from realtime.display.layout import DisplayState
from realtime.display.window import Pressed, Shown
from realtime.epoching.epochs import Refused
from realtime.rendering.messages import Frame
from realtime.session import Answered, Decoded, OnScreen, PreStimulusDecoded, Session, Tick
from realtime.sources.base import Marker
from tests.support.session_parts import CONFIG, ListSource, SlowRenderer, bundle, early_answers, recording


class Pictures:
    """Four plain pictures."""

    names = ("p0", "p1", "p2", "p3")

    def image(self, name, size=64):
        return np.full((size, size, 3), 60 * self.names.index(name), np.uint8)

    def label(self, name):
        return name


class Glass:
    """A window that shows nothing and presses what it is told to."""

    def __init__(self):
        self.states, self.waiting = [], []

    def show(self, state):
        self.states.append(state)

    def events(self):
        found, self.waiting = self.waiting, []
        return found


class Listener:
    """The MQTT side, as `Steering` uses it."""

    status = SimpleNamespace(dropped=0, restarts=0)

    def __init__(self):
        self.states, self.told = [], []

    def set_state(self, state, **details):
        self.states.append((state, details))

    def publish(self, event):
        self.told.append(event)

    def commands(self):
        return []


@pytest.fixture
def live():
    """A session over a recording, with what its screen and its listener were told."""
    calibration = replace(bundle(), confidence=ConfidenceModel(1e-4, 0.0, 1e9))
    source, glass, listener = ListSource(*recording(), range(0, 100_000, 10)), Glass(), Listener()
    session = Session(CONFIG, calibration, source, SlowRenderer(), clock=lambda: 0.0)
    screen = Screen(CONFIG, calibration, Pictures(), session, None, [glass], source.close)
    steering = Steering(session, CONFIG, calibration, listener, None, source.close)
    return SimpleNamespace(session=session, screen=screen, steering=steering, glass=glass, listener=listener)


def follow(live, act=lambda event: None):
    events = []
    for event in live.session.run():
        live.screen(event)
        live.steering(event)
        act(event)
        events.append(event)
    return events


def test_the_pre_stimulus_score_stands_beside_the_true_one(live):
    events = follow(live)
    percepts = [event.percept for event in events if isinstance(event, Decoded)]
    assert all(0 <= percept.two_way <= 1 and 0 <= percept.pre_stimulus_two_way <= 1 for percept in percepts)
    last = {percept.picture: percept for percept in percepts}
    state = live.glass.states[-1]
    assert state.two_way == pytest.approx(np.mean([percept.two_way for percept in last.values()]))
    assert state.pre_stimulus_two_way == pytest.approx(
        np.mean([percept.pre_stimulus_two_way for percept in last.values()])
    )
    # All repeats of the window before a picture stand together, as those of the picture do.
    earlier = [
        event.single for event in events if isinstance(event, PreStimulusDecoded) and event.marker.picture == "p1"
    ]
    together = live.session.evidence._gallery.two_way(np.mean(earlier, axis=0), "p1")
    assert last["p1"].pre_stimulus_two_way == pytest.approx(together)


def test_the_pause_key_pauses_the_session_and_everybody_is_told(live):
    def press_once(event):
        if isinstance(event, Decoded) and event.percept.trial in (3, 4):
            live.glass.waiting.append(Pressed("pause"))

    events = follow(live, press_once)
    refused = [event for event in events if isinstance(event, Refused)]
    assert len(refused) > 10
    assert {event.reason for event in refused} == {"the session is paused"}
    state = live.glass.states[-1]
    assert state.paused
    assert state.data_timestamp == max(event.timestamp for event in events if isinstance(event, Tick)), "the data go on"
    assert [state for state, _ in live.listener.states] == ["running", "paused"]


def test_a_new_threshold_is_on_the_screen_and_told_and_notices_go(live):
    def steer(event):
        if isinstance(event, Decoded) and event.percept.trial == 2:
            live.session.painter.abstain_below = 0.99
            live.screen(Refused(99, Marker(0.0, "picture"), "artefact: flat Fz", "artefact"))
            assert "artefact" in live.glass.states[-1].notice

    follow(live, steer)
    assert live.glass.states[-1].abstain_below == 0.99
    assert live.glass.states[-1].abstains
    assert live.glass.states[-1].notice == "", "a later percept shows that all is well again"
    assert live.listener.states[-1][1]["abstain_below"] == 0.99


def test_no_older_picture_follows_a_percept_that_is_too_weak_to_be_painted(live):
    """The picture of an earlier trial may still be painted when a weaker one, which is not asked for, is decoded."""
    heard = []
    follow(live, heard.append)
    strong, weak = [event for event in heard if isinstance(event, Decoded)][-2:]
    asked = replace(strong.percept, ledger={**strong.percept.ledger, "requested": 1.0})
    unasked = {stage: time for stage, time in weak.percept.ledger.items() if stage != "requested"}
    live.screen.state = DisplayState(abstain_below=0.99)
    live.screen(replace(strong, percept=asked))
    live.screen(replace(weak, percept=replace(weak.percept, ledger=unasked)))
    live.screen(Frame(asked.trial, 2, 2, np.zeros((4, 4, 3), np.uint8), {}, 1))
    state = live.glass.states[-1]
    assert (state.trial, state.picture, state.abstains) == (weak.percept.trial, None, True)
    live.screen(Frame(weak.percept.trial, 2, 2, np.ones((4, 4, 3), np.uint8), {}, 2))
    assert live.glass.states[-1].picture is not None


def test_when_a_picture_was_on_the_screen_is_told_once(live):
    live.glass.waiting += [Shown(3, 1, 2, 10.0), Shown(3, 2, 2, 11.0)]
    live.screen.state = replace(live.screen.state, trial=3, ledger={"onset": 1.0})
    live.screen(Tick(100.0))
    assert live.glass.states[-1].ledger == {"onset": 1.0, "shown": 11.0}
    events = follow(live)
    assert [event for event in events if isinstance(event, OnScreen)] == [OnScreen(3, 11.0)]
    told = [event.data for event in live.listener.told if isinstance(event, Event) and event.kind == "ledger"]
    assert [one for one in told if "shown" in one["stages"]] == [{"trial": 3, "stages": {"shown": 11.0}}]


def test_a_percept_that_was_told_is_never_written_in_again(live):
    ledgers = {}

    def note(event):
        if isinstance(event, Decoded):
            ledgers[event.percept.trial] = event.percept, dict(event.percept.ledger)

    follow(live, note)
    assert all("requested" in ledger for _, ledger in ledgers.values())
    list(live.session.paint([percept for percept, _ in ledgers.values()], lambda: True))
    assert all(percept.ledger == ledger for percept, ledger in ledgers.values())


def test_closing_the_window_ends_the_session(live):
    def close(event):
        if isinstance(event, Decoded):
            live.glass.waiting.append(Pressed("close"))

    assert sum(isinstance(event, Decoded) for event in follow(live, close)) == 1


def test_a_preview_is_on_the_screen_with_its_time_until_the_trials_own_picture_is():
    """The window is still open meanwhile; that the preview was seen is told once, and told to other programs."""
    evidence = CONFIG.evidence.model_copy(update={"answer_at_s": (0.1, 0.2), "preview_above": 0.0, "decide_above": 1.0})
    config = CONFIG.model_copy(update={"evidence": evidence})
    calibration = replace(bundle(), confidence=ConfidenceModel(1e-4, 0.0, 1e9), early=early_answers())
    source, glass, listener = ListSource(*recording(), range(0, 100_000, 10)), Glass(), Listener()
    renderer = SlowRenderer()
    session = Session(config, calibration, source, renderer, clock=lambda: 0.0)
    screen = Screen(config, calibration, Pictures(), session, None, [glass], source.close)
    steering = Steering(session, config, calibration, listener, None, source.close)
    seen = []

    for event in session.run():
        screen(event)
        steering(event)
        if isinstance(event, Answered) and "preview_requested" in event.percept.ledger:
            assert event.percept.at_s == 0.1
            renderer.paint()
        elif isinstance(event, Decoded):
            renderer.paint()
        elif isinstance(event, Frame):
            state = glass.states[-1]
            seen.append((state.trial, state.at_s, state.preview, state.step))
            glass.waiting.append(Shown(state.trial, state.step, state.of, 10.0 * state.trial, state.preview))
    expected = [(trial, at_s, at_s is not None, step) for trial in range(16) for at_s in (0.1, None) for step in (1, 2)]
    assert seen == expected
    ledgers = [one.data for one in listener.told if isinstance(one, Event) and one.kind == "ledger"]
    previews = [one["trial"] for one in ledgers if "preview_shown" in one["stages"]]
    assert previews == list(range(16))
    told = [(one.trial, one.at_s) for one in listener.told if isinstance(one, Percept)]
    assert told == [(trial, at_s) for trial in range(16) for at_s in (0.1, 0.2, None)]
