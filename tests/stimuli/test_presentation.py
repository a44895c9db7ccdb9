"""One run of a plan inside this process: keys, pauses and breaks; and a real window under Xvfb."""

import queue

import numpy as np
import pylsl
import pytest

from configs.schema import StimulusSettings
from stimuli.presentation import FrameLog, Presentation
from stimuli.presenter import summarise
from stimuli.screen import Screen
from stimuli.sequence import plan

STIMULUS = StimulusSettings(
    on_s=0.01,
    onset_to_onset_s=0.02,
    sequence_length=5,
    pause_s=0.0,
    targets_per_sequence=0,
    window_size=(96, 96),
    picture_size=64,
)


class Plain:
    """Pictures of one grey each."""

    names = tuple(f"p{k}" for k in range(10))

    def image(self, name):
        return np.full((20, 30, 3), 20 * int(name[1:]), np.uint8)


class Pressing:
    """A marker outlet that presses keys when it hears markers."""

    def __init__(self, presses):
        self.markers, self._presses = [], dict(presses)

    def send(self, marker):
        import pygame

        self.markers.append(marker)
        for key in self._presses.pop(marker.extra.get("trial", marker.kind), ()):
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))

    @property
    def kinds(self):
        return [marker.kind for marker in self.markers]


@pytest.fixture
def screen():
    opened = Screen(STIMULUS, headless=True, clock=pylsl.local_clock)
    yield opened
    opened.close()


def run(screen, presses=(), *, attended=False, blocks=1):
    """Run ten pictures and return the presentation, what was said, and what was told."""
    told, outlet = [], Pressing(presses)
    presentation = Presentation(
        plan(Plain.names, STIMULUS, blocks=blocks),
        Plain(),
        screen,
        outlet,
        FrameLog(None),
        words=queue.SimpleQueue(),
        attended=attended,
        tell=lambda event, **fields: told.append((event, fields)),
    )
    return presentation, outlet, told, presentation.run()


def test_a_response_key_is_a_marker_with_the_key_and_its_time(screen):
    presentation, outlet, _, completed = run(screen, {2: ["space"], 6: ["f", "j"]})
    assert completed
    responses = [(marker.extra["key"], marker.timestamp) for marker in outlet.markers if marker.kind == "response"]
    assert [key for key, _ in responses] == ["space", "f", "j"]
    assert all(
        presentation.shown[trial].onset < timestamp < presentation.shown[trial].onset + 1.0
        for trial, (_, timestamp) in zip((2, 6, 6), responses, strict=True)
    )


def test_escape_ends_the_run_and_says_how_far_it_came(screen):
    presentation, outlet, told, completed = run(screen, {3: ["escape", "escape"]})
    assert not completed
    assert [one.trial for one in presentation.shown] == [0, 1, 2, 3]
    assert outlet.markers[-1].extra == {"completed": False, "shown": 4}
    assert told[-1] == ("aborted", {"shown": 4})


def test_escape_alone_only_asks_and_the_run_goes_on(screen, monkeypatch):
    monkeypatch.setattr("stimuli.window.AGAIN_S", 0.2)
    presentation, outlet, told, completed = run(screen, {3: ["escape"]})
    assert completed
    assert len(presentation.shown) == 10
    assert [event for event, _ in told if event != "progress"] == ["paused", "resumed"]
    paused, resumed = (marker.timestamp for marker in outlet.markers if marker.kind in ("paused", "resumed"))
    assert 0.1 < resumed - paused < 1.0
    assert not any(one.flagged for one in presentation.shown[4:5])


def test_escape_while_it_asks_ends_the_run(screen):
    presentation, outlet, _, completed = run(screen, {3: ["escape"], "paused": ["escape"]})
    assert not completed
    assert len(presentation.shown) == 4
    assert outlet.markers[-1].extra == {"completed": False, "shown": 4}


def test_p_pauses_and_the_space_bar_goes_on_with_the_next_trial(screen):
    presentation, outlet, told, completed = run(screen, {3: ["p"], "paused": ["space"]})
    assert completed
    assert len(presentation.shown) == 10
    assert [event for event, _ in told if event != "progress"] == ["paused", "resumed"]
    around = outlet.kinds.index("paused")
    assert outlet.markers[around - 2].extra["trial"] == 3  # then the key itself
    assert outlet.kinds[around + 1 : around + 3] == ["resumed", "picture"]
    assert not any(one.flagged for one in presentation.shown[4:5])  # a pause is no dropped frame


def test_the_participant_starts_each_block(screen):
    import pygame

    space = pygame.event.Event(pygame.KEYDOWN, key=pygame.K_SPACE)
    pygame.event.post(space)
    _, outlet, told, completed = run(screen, {"block-end": ["space"]}, attended=True, blocks=2)
    assert completed
    assert outlet.kinds.count("block-start") == outlet.kinds.count("block-end") == 2
    assert "response" not in outlet.kinds
    assert [fields["shown"] for event, fields in told if event == "progress"] == [5, 10]
    assert told[-1][1]["of"] == 10


def test_the_screen_shows_the_picture_the_dot_and_the_photodiode_square(screen):
    import pygame

    def pixel(x, y):
        return tuple(pygame.display.get_surface().get_at((x, y)))[:3]

    wide = screen.prepare(np.full((20, 40, 3), (10, 200, 30), np.uint8))
    assert wide.get_size() == (64, 32)  # as large as asked, in its own proportions
    screen.draw(wide)
    assert (pixel(30, 48), pixel(48, 80), pixel(2, 94)) == ((10, 200, 30), (127, 127, 127), (255, 255, 255))
    assert pixel(48, 48) == (200, 30, 30)
    screen.draw(None)
    assert (pixel(30, 48), pixel(2, 94)) == ((127, 127, 127), (0, 0, 0))


def test_the_clock_is_waited_for_to_the_millisecond(screen):
    errors = []
    for _ in range(20):
        deadline = pylsl.local_clock() + 0.015
        screen.wait_until(deadline)
        errors.append(pylsl.local_clock() - deadline)
    assert min(errors) >= 0
    assert np.median(errors) < 0.001


def test_a_real_window_keeps_the_plan_and_claims_no_vsync_where_there_is_none(display):
    settings = STIMULUS.model_copy(update={"on_s": 0.1, "onset_to_onset_s": 0.2, "window_size": (400, 400)})
    screen = Screen(settings, headless=False, clock=pylsl.local_clock)
    try:
        assert (screen.driver, screen.refresh.vsync) == ("x11", False)
        told, outlet = [], Pressing({})
        presentation = Presentation(
            plan(Plain.names, settings),
            Plain(),
            screen,
            outlet,
            FrameLog(None),
            words=queue.SimpleQueue(),
            attended=False,
            tell=lambda event, **_: told.append(event),
        )
        assert presentation.run()
    finally:
        screen.close()
    assert summarise(presentation.shown, 0.2)["interval_error_ms_p50"] < 1000 / 60 / 2
