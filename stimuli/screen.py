"""The participant's screen: opened with vsync where there is one, its refresh measured, each flip timed.

Without a display the same code runs on SDL's dummy driver, which shows nothing and returns from each flip at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stimuli.window import Place, open_at, stimulus_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import StimulusSettings

logger = logging.getLogger(__name__)

GREY, LIGHT, WHITE, BLACK, RED = (127, 127, 127), (225, 225, 225), (255, 255, 255), (0, 0, 0), (200, 30, 30)
NOMINAL_HZ = 60.0
SPIN_S = 0.002
POLL_S = 0.005

Surface = Any  # pygame.Surface: pygame is imported when a screen is opened.


@dataclass(frozen=True)
class Refresh:
    """What was measured of the screen's refresh.

    Attributes
    ----------
    vsync
        Whether a flip waits for the screen.
    rate_hz
        As measured, where flips wait; else the nominal rate, used only to judge what counts as late.
    spread_s
        Median absolute deviation of the interval between flips.
    flip_s
        How long before an onset its flip must be asked for: half a frame where flips wait, so that the nearest
        refresh is met; else what a flip takes.
    """

    vsync: bool
    rate_hz: float
    spread_s: float
    flip_s: float

    @property
    def frame_s(self) -> float:
        """Duration of a frame."""
        return 1.0 / self.rate_hz

    def frames_late(self, late_s: float) -> int:
        """Return how many frames something came late: the nearest number where flips wait, else whole frames only."""
        return max(0, round(late_s / self.frame_s) if self.vsync else int(late_s / self.frame_s))


@dataclass(frozen=True)
class Flip:
    """When a flip was asked for and when it was done, in seconds on the clock of the screen."""

    asked: float
    done: float


class Screen:
    """A window or a full screen on which pictures appear.

    Parameters
    ----------
    settings
        Size, full screen, photodiode square.
    headless
        Whether to run without a display.
    clock
        Clock on which flips are timed.

    Raises
    ------
    ValueError
        If there is no such screen as the settings name.
    """

    def __init__(self, settings: StimulusSettings, *, headless: bool, clock: Callable[[], float]) -> None:
        os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
        if headless:
            os.environ["SDL_VIDEODRIVER"] = "dummy"
        import pygame

        self._pygame, self._settings, self._clock = pygame, settings, clock
        pygame.display.init()
        pygame.font.init()
        self._place = Place(0, settings.window_size, None)
        if not headless:
            self._place = self._find_place()
        self._picture_size = min(settings.picture_size, *self._place.size)
        self._window = self._open(vsync=not headless)
        self._waits = bool(pygame.display.is_vsync())
        self._changed, self._words_shown = [self._window.get_rect()], True
        self._font = pygame.font.Font(None, max(24, self._window.get_height() // 24))
        self._keys: list[tuple[str, float]] = []
        pygame.display.set_caption("Perceptogram Live: stimuli")
        pygame.mouse.set_visible(not settings.fullscreen)
        self.driver: str = pygame.display.get_driver()
        self.refresh = self._measure()
        if self._waits and not self.refresh.vsync:
            # SDL imitates vsync by sleeping whole milliseconds where the screen has none: worse than a clock.
            logger.warning("flips do not wait for this screen: onsets are paced by the clock alone")
            self._window, self._waits, self._words_shown = self._open(vsync=False), False, True
            self.refresh = self._measure()

    @property
    def claimed_hz(self) -> float:
        """Refresh rate that the display claims; 0 where it has none, as a virtual one."""
        return float(self._pygame.display.get_current_refresh_rate())

    def close(self) -> None:
        """Close the window."""
        self._pygame.quit()

    def prepare(self, image: NDArray[np.uint8]) -> Surface:
        """Return a picture scaled to the picture size and converted to the screen's own format."""
        height, width = image.shape[:2]
        scale = self._picture_size / max(height, width)
        size = (round(width * scale), round(height * scale))
        surface = self._pygame.image.frombuffer(np.ascontiguousarray(image).tobytes(), (width, height), "RGB")
        return self._pygame.transform.smoothscale(surface.convert(), size)

    def prepare_target(self) -> Surface:
        """Return the attention target: a bull's-eye, unlike any picture."""
        size = self._picture_size
        surface = self._pygame.Surface((size, size)).convert()
        surface.fill(GREY)
        for ring in range(6, 0, -1):
            colour = BLACK if ring % 2 else WHITE
            self._pygame.draw.circle(surface, colour, (size // 2, size // 2), size * ring // 14)
        return surface

    def draw(self, surface: Surface | None) -> None:
        """Draw a picture, or the empty ground, with the fixation dot; the photodiode's square is lit with a picture."""
        middle = self._window.get_rect().center
        side = max(24, self._window.get_height() // 16)
        square = self._pygame.Rect(0, self._window.get_height() - side, side, side)
        centre = self._pygame.Rect(0, 0, self._picture_size, self._picture_size)
        centre.center = middle
        # Without vsync only what can have changed is sent to the display: half the time of a whole window.
        self._changed = [self._window.get_rect()] if self._words_shown else [centre, square]
        self._words_shown = False
        self._window.fill(GREY)
        if surface is not None:
            self._window.blit(surface, surface.get_rect(center=middle))
        self._pygame.draw.circle(self._window, WHITE, middle, 6)
        self._pygame.draw.circle(self._window, RED, middle, 4)
        if self._settings.photodiode:
            self._pygame.draw.rect(self._window, BLACK if surface is None else WHITE, square)

    def draw_text(self, lines: tuple[str, ...], progress: float | None = None) -> None:
        """Draw lines of text and, where `progress` (0 to 1) is given, how far the session has come."""
        self._window.fill(GREY)
        self._changed, self._words_shown = [self._window.get_rect()], True
        width, height = self._window.get_size()
        step = self._font.get_linesize() * 1.3
        top = height / 2 - step * len(lines) / 2
        for number, line in enumerate(lines):
            words = self._font.render(line, True, WHITE)
            self._window.blit(words, words.get_rect(center=(width // 2, round(top + number * step))))
        if progress is not None:
            bar = self._pygame.Rect(width // 4, height * 4 // 5, width // 2, max(8, height // 60))
            self._pygame.draw.rect(self._window, LIGHT, bar, 1)
            self._pygame.draw.rect(self._window, LIGHT, (bar.x, bar.y, round(bar.w * progress), bar.h))

    def flip(self) -> Flip:
        """Show what was drawn; with vsync this returns when the screen has taken it."""
        asked = self._clock()
        if self._waits:
            self._pygame.display.flip()
        else:
            self._pygame.display.update(self._changed)
        return Flip(asked, self._clock())

    def wait_until(self, deadline: float) -> None:
        """Return at `deadline`: sleep while it is far, looking for keys, and spin the last two milliseconds."""
        while (left := deadline - self._clock() - SPIN_S) > 0:
            time.sleep(min(left, POLL_S))
            if left > 2 * POLL_S:
                self._poll()
        while self._clock() < deadline:
            pass

    def pressed(self) -> list[tuple[str, float]]:
        """Return the keys pressed since the last call, each with the time at which it was noticed."""
        self._poll()
        pressed, self._keys = self._keys, []
        return pressed

    def _poll(self) -> None:
        for event in self._pygame.event.get():
            if event.type == self._pygame.QUIT:
                self._keys.append(("escape", self._clock()))
            elif event.type == self._pygame.KEYDOWN:
                self._keys.append((self._pygame.key.name(event.key), self._clock()))

    def _find_place(self) -> Place:
        """Return on which screen, how large and where the window is to be."""
        settings, screens = self._settings, self._pygame.display.get_desktop_sizes()
        place = stimulus_place(screens, settings.window_size, settings.screen)
        if settings.fullscreen:
            place = Place(place.screen, screens[place.screen], None)
        elif place.size != settings.window_size:
            logger.warning("the stimulus window is %d×%d: the screen has no more room", *place.size)
        if settings.picture_size > min(place.size):
            logger.warning("pictures are %d pixels wide: the window has no more room", min(place.size))
        return place

    def _open(self, *, vsync: bool) -> Surface:
        pygame, place, window = self._pygame, self._place, None
        fullscreen = pygame.FULLSCREEN if self._settings.fullscreen else 0
        open_at(place.position)
        if vsync:
            try:
                window = pygame.display.set_mode(place.size, pygame.SCALED | fullscreen, display=place.screen, vsync=1)
            except pygame.error as error:
                logger.warning("vsync was refused (%s)", error)
        if window is None:
            window = pygame.display.set_mode(place.size, fullscreen, display=place.screen)
        return window

    def _measure(self, flips: int = 60) -> Refresh:
        """Return what the intervals between flips tell.

        Flips wait for the screen if their intervals are regular and agree with the rate that the display claims.
        """
        self.draw(None)
        done = [self.flip() for _ in range(flips + 10)][10:]
        intervals = np.diff([flip.done for flip in done])
        median = float(np.median(intervals))
        spread = float(np.median(np.abs(intervals - median)))
        claimed_hz = self.claimed_hz
        regular = bool(np.mean(np.abs(intervals - median) < 0.2 * median) > 0.8)
        if regular and claimed_hz > 0 and abs(median * claimed_hz - 1) < 0.02:
            return Refresh(True, 1 / median, spread, median / 2)
        return Refresh(False, NOMINAL_HZ, spread, float(np.median([flip.done - flip.asked for flip in done])))
