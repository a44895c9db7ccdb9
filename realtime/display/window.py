"""The display's window and what runs in its process: draw the newest state at the window's own pace, obey the keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from configs.files import whole_file
from realtime.display.layout import DisplayState, draw
from realtime.display.participant import draw_participant
from realtime.display.picture_lookup import LookUp
from realtime.processes.mailbox import Mailbox
from realtime.processes.signals import leave_to_session
from realtime.processes.supervised import Connection, Reports
from stimuli.pictures import open_pictures
from stimuli.window import Place, Twice, display_place, open_at, stimulus_place

if TYPE_CHECKING:
    from configs.schema import DisplaySettings, PictureSettings, StimulusSettings


View = Literal["experimenter", "participant"]
REDRAW_S = 0.2
"""Seconds after which the window is drawn again when nothing is new, so that the age of the data stays true."""
NICENESS = 5
SMALLEST = (480, 270)
ASKS = "press Esc again to end the session"


@dataclass(frozen=True)
class DisplayOpened:
    """The window is open."""


@dataclass(frozen=True)
class Shown:
    """A picture of a trial, or of its preview, is on the screen since `timestamp` (LSL clock)."""

    trial: int
    step: int
    of: int
    timestamp: float
    preview: bool = False


@dataclass(frozen=True)
class Pressed:
    """The person at the screen asks for something that is the session's to do."""

    action: Literal["pause", "close"]


@dataclass(frozen=True)
class Saved:
    """A snapshot was saved."""

    path: Path


@dataclass(frozen=True)
class Lost:
    """The window cannot be used, and why."""

    text: str


DisplayEvent = DisplayOpened | Shown | Pressed | Saved | Lost


class Window:
    """A resizable pygame window.

    Parameters
    ----------
    settings
        Size and full screen.
    folder
        Where snapshots go.
    stimulus
        Where the window that shows the pictures is; None where this session has none.
    view
        Who looks at it.

    Raises
    ------
    ValueError
        If there is no such screen as the settings name.
    """

    def __init__(
        self,
        settings: DisplaySettings,
        folder: Path,
        stimulus: StimulusSettings | None = None,
        view: View = "experimenter",
    ) -> None:
        import pygame
        from pylsl import local_clock

        self._pygame, self._clock = pygame, local_clock
        self._settings = settings
        self._folder = folder
        self._view = view
        self._image: Any = None
        self._escape = Twice()
        self.hide_shown = False
        self.fullscreen = settings.fullscreen if view == "experimenter" else settings.participant_fullscreen
        pygame.display.init()
        pygame.display.set_caption("Perceptogram Live")
        self._place = self._find_place(stimulus)
        self._open()

    def obey(self) -> list[DisplayEvent]:
        """Take in what happened to the window and its keys, and return what the session should know."""
        pygame = self._pygame
        told: list[DisplayEvent] = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT and self._view == "experimenter":
                told.append(Pressed("close"))
            elif event.type == pygame.KEYDOWN:
                told += self._key(event.key)
        return told

    def show(self, state: DisplayState, now: float) -> None:
        """Draw `state` and put it on the screen."""
        screen = self._pygame.display.get_surface()
        if screen is None:
            return
        width, height = screen.get_size()
        size = max(width, SMALLEST[0]), max(height, SMALLEST[1])
        if self._escape.asks(now):
            state = replace(state, notice=ASKS)
        if self._view == "participant":
            self._image = draw_participant(state, size, self._settings.participant_confidence)
        else:
            self._image = draw(state, size, now, self.hide_shown)
        screen.blit(self._pygame.image.frombuffer(self._image.tobytes(), size, "RGB"), (0, 0))
        self._pygame.display.flip()

    def save(self) -> Path | None:
        """Save what is on the screen as a PNG and return where; None before the first drawing."""
        if self._image is None:
            return None
        path = self._folder / f"snapshot-{datetime.now().astimezone():%Y%m%d-%H%M%S-%f}.png"
        with whole_file(path) as part:
            self._image.save(part, format="PNG")
        return path

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()

    def _find_place(self, stimulus: StimulusSettings | None) -> Place:
        screens, theirs = self._pygame.display.get_desktop_sizes(), None
        if self._view == "participant":
            settings = self._settings
            return stimulus_place(screens, settings.participant_size, settings.participant_screen)
        if stimulus is not None and not stimulus.fullscreen:
            theirs = stimulus_place(screens, stimulus.window_size, stimulus.screen)
        return display_place(screens, self._settings.size, self._settings.screen, theirs)

    def _open(self) -> None:
        pygame, place = self._pygame, self._place
        open_at(None if self.fullscreen else place.position)
        if self.fullscreen:
            pygame.display.set_mode((0, 0), pygame.FULLSCREEN, display=place.screen)
        else:
            pygame.display.set_mode(place.size, pygame.RESIZABLE, display=place.screen)
        pygame.mouse.set_visible(not self.fullscreen)

    def _key(self, key: int) -> list[DisplayEvent]:
        pygame = self._pygame
        if key == pygame.K_ESCAPE and self.fullscreen:
            key = pygame.K_f
        if self._view == "participant" and key != pygame.K_f:
            return []  # the session is the experimenter's
        if key in (pygame.K_ESCAPE, pygame.K_q):
            return [Pressed("close")] if self._escape.press(self._clock()) else []
        if key == pygame.K_SPACE:
            return [Pressed("pause")]
        if key == pygame.K_f:
            self.fullscreen = not self.fullscreen
            self._open()
        elif key == pygame.K_h:
            self.hide_shown = not self.hide_shown
        elif key == pygame.K_s:
            path = self.save()
            return [] if path is None else [Saved(path)]
        return []


def run_window(
    pipe: Connection,
    settings: DisplaySettings,
    states: Mailbox,
    folder: Path,
    pictures: PictureSettings | None,
    stimulus: StimulusSettings | None,
    view: View = "experimenter",
) -> None:
    """Show the newest of `states` until the window is closed or the session is gone; what happens goes to `pipe`.

    Parameters
    ----------
    pipe
        Takes each `DisplayEvent`.
    settings, folder, stimulus, view
        See `Window`.
    states
        What is shown.
    pictures
        The set in which a state's names are looked up; None where they are not.
    """
    leave_to_session()
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    events = Reports(pipe)  # a screen that is off may hold up the drawing for any time
    try:
        window = Window(settings, folder, stimulus, view)
        events.say(DisplayOpened())
        look_up = None if pictures is None else LookUp(open_pictures(pictures))
        _serve(window, 1 / settings.frame_rate_hz, states, events, look_up)
        window.close()
    except (pygame.error, ValueError) as error:
        events.say(Lost(f"no window: {error}"))
    events.close(1.0)


def _serve(window: Window, frame_s: float, states: Mailbox, events: Reports, look_up: LookUp | None) -> None:
    from pylsl import local_clock

    state, number, drawn_at = DisplayState(), 0, -REDRAW_S
    on_screen: tuple[int, int, bool] | None = None
    while events.heard:
        letter = states.wait(number, frame_s)
        told = window.obey()
        for event in told:
            events.say(event)
        if Pressed("close") in told:
            return
        if letter is not None:
            number, state = letter
            state = state if look_up is None else look_up(state)
        elif not told and local_clock() - drawn_at < REDRAW_S:
            continue
        window.show(state, local_clock())
        drawn_at = local_clock()
        if state.trial is not None and state.picture is not None and not state.abstains:
            if on_screen != (state.trial, state.step, state.preview):
                events.say(Shown(state.trial, state.step, state.of, drawn_at, state.preview))
            on_screen = state.trial, state.step, state.preview
