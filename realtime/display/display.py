"""The display: a window in a process of its own, told the newest state and never waited for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from realtime.display.layout import DisplayState
from realtime.display.participant import for_participant
from realtime.display.window import DisplayEvent, Lost, View, run_window
from realtime.processes.mailbox import Mailbox
from realtime.processes.started import Started
from realtime.processes.supervised import Supervised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import DisplaySettings, PictureSettings, StimulusSettings

logger = logging.getLogger(__name__)

CAPACITY = 1 << 23
KEPT_EVENTS = 1000
AGE_S = 0.1
"""Seconds after which the window is told anew how old the data are where nothing else is new."""
PICTURE_LIMIT, SHOWN_LIMIT, NEAREST_LIMIT = 1024, 512, 256
"""Largest side in pixels of what travels to the window, so that a state always fits the mailbox."""


class Display(Started):
    """Shows the newest state.

    `show` only leaves the state; a thread hands it on. One in which only the age of the data is new is handed on less
    often, so that no picture waits until a state is drawn that says nothing. When the window cannot be opened or its
    process dies, the session goes on without it and `fault` says why.

    Parameters
    ----------
    settings
        Size, full screen, frame rate.
    folder
        Where snapshots go.
    pictures
        The set in which the window looks up what a state only names.
    stimulus
        The window that shows the pictures where this session opens one: this one then leaves room for it.
    view
        Who looks at it: the participant's window is never told what was shown.
    """

    def __init__(
        self,
        settings: DisplaySettings,
        folder: Path,
        pictures: PictureSettings | None = None,
        stimulus: StimulusSettings | None = None,
        view: View = "experimenter",
    ) -> None:
        self._view = view
        self._frame_s = 1 / settings.frame_rate_hz
        self._states = Mailbox(CAPACITY)
        self._arguments = (settings, self._states, folder, pictures, stimulus, view)
        self._process: Supervised | None = None
        self._events: deque[DisplayEvent] = deque(maxlen=KEPT_EVENTS)
        self._latest: DisplayState | None = None
        self._told = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hand_on, name="display", daemon=True)
        self.fault = ""

    def start(self) -> Self:
        """Open the window and return at once."""
        self._process = Supervised("display", run_window, self._arguments)
        self._thread.start()
        return self

    def show(self, state: DisplayState) -> None:
        """Leave `state` for the window; a newer state replaces one that was not drawn yet."""
        if self._view == "participant":
            state = for_participant(state)
        before, self._latest = self._latest, state
        if before is None or not state.looks_like(before):
            self._told.set()

    def events(self) -> list[DisplayEvent]:
        """Return what happened at the window since the last call, oldest first, without waiting."""
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    @property
    def open(self) -> bool:
        """Whether the window's process runs."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int | None:
        """Id of the window's process; None before the start."""
        return None if self._process is None else self._process.pid

    def stop(self) -> None:
        """Close the window. Safe to call twice."""
        self._closing.set()
        self._told.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _hand_on(self) -> None:
        process = self._process
        assert process is not None
        pause = threading.Event()
        handed_at, handed = 0.0, None
        while not self._closing.is_set():
            trouble = process.trouble
            for event in process.hear():
                self._take(event)
            if trouble is not None:
                if not self.fault and process.exit_code != 0:
                    self._take(Lost(f"the display's process {trouble}"))
                break
            news = self._told.wait(self._frame_s)
            self._told.clear()
            latest = self._latest
            if latest is None or not (news or (latest is not handed and time.monotonic() - handed_at > AGE_S)):
                continue
            self._states.put(_small(latest))
            handed, handed_at = latest, time.monotonic()
            pause.wait(self._frame_s / 4)
        process.close()

    def _take(self, event: DisplayEvent) -> None:
        self._events.append(event)
        if isinstance(event, Lost):
            self.fault = event.text
            logger.error("the session goes on without a display: %s", event.text)


def _small(state: DisplayState) -> DisplayState:
    """Return `state` with its pictures no larger than the window needs."""
    return replace(
        state,
        picture=None if state.picture is None else _limited(state.picture, PICTURE_LIMIT),
        shown=None if state.shown is None else _limited(state.shown, SHOWN_LIMIT),
        nearest=tuple(
            near if near.image is None else replace(near, image=_limited(near.image, NEAREST_LIMIT))
            for near in state.nearest[:5]
        ),
        ledger=dict(state.ledger),
        quality=dict(state.quality),
    )


def _limited(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    if max(image.shape[:2]) <= side:
        return image
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((side, side))
    return np.asarray(small)
