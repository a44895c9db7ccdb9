"""One run of a plan on a screen: what is shown when, what is said on the marker stream, and what is written down."""

from __future__ import annotations

import gc
import json
import queue
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from stimuli.child import STOP, Report
from stimuli.markers import PICTURE, Marker
from stimuli.sequence import TARGET, Plan, Trial
from stimuli.window import AGAIN_S, Twice

if TYPE_CHECKING:
    from stimuli.marker_outlet import MarkerOutlet
    from stimuli.picture_set import PictureSet
    from stimuli.screen import Screen, Surface

PAUSE, RESUME = "pause", "resume"
ABORT_KEY, PAUSE_KEYS, GO_KEYS = "escape", ("p",), ("space", "return")
KEPT_SURFACES = 64
PAUSED = ("Paused", "Press the space bar to go on.")
ASKS = ("End the recording?", f"Press Esc again within {AGAIN_S:g} seconds to end it; otherwise it goes on.")


@dataclass(frozen=True)
class Shown:
    """One line of the frame log.

    Attributes
    ----------
    trial, picture, block, sequence
        As planned.
    due, asked, onset, off
        When the picture should have appeared, when the flip was asked for, when it was done, and when the picture
        went; seconds on the LSL clock.
    dropped
        Frames by which the onset came late, or the picture stayed too long; trials with any are flagged.
    """

    trial: int
    picture: str
    block: int
    sequence: int
    due: float
    asked: float
    onset: float
    off: float
    dropped: int

    @property
    def flagged(self) -> bool:
        """Whether the timing was off by a frame or more."""
        return self.dropped > 0


class FrameLog:
    """The frame log as JSON lines, each written out at once, so that an abort loses nothing."""

    def __init__(self, path: Path | None) -> None:
        self._stream = None if path is None else path.open("a", encoding="utf-8")

    def write(self, event: str, **fields: Any) -> None:
        """Append one line."""
        if self._stream is not None:
            self._stream.write(json.dumps({"event": event} | fields, separators=(",", ":")) + "\n")
            self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()


def read_shown(path: Path) -> list[Shown]:
    """Return the trials in a frame log; a last line that was cut off by a crash is left out."""
    shown = []
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines):
        try:
            record = json.loads(line) if line else {}
        except ValueError:
            if number < len(lines) - 1:
                raise
            continue
        if record.get("event") == "trial":
            shown.append(Shown(**{key: value for key, value in record.items() if key not in ("event", "flagged")}))
    return shown


class Aborted(Exception):
    """The run was ended before its plan was."""


class Presentation:
    """A run of a plan.

    Parameters
    ----------
    plan
        What to show.
    pictures
        Set that has the plan's pictures.
    screen, outlet, log
        Where it is shown, said and written down.
    words
        What the process that started this one says: `PAUSE`, `RESUME`, `STOP`.
    attended
        Whether somebody sits at the keyboard and starts each block.
    tell
        Called with ``"progress"`` after each sequence and with ``"paused"`` and ``"resumed"``.
    """

    def __init__(
        self,
        plan: Plan,
        pictures: PictureSet,
        screen: Screen,
        outlet: MarkerOutlet,
        log: FrameLog,
        *,
        words: queue.SimpleQueue[str],
        attended: bool,
        tell: Report,
    ) -> None:
        self._plan, self._pictures, self._screen = plan, pictures, screen
        self._outlet, self._log, self._words = outlet, log, words
        self._attended, self._tell = attended, tell
        self._surfaces: dict[str, Surface] = {}
        self._abort = Twice()
        self.shown: list[Shown] = []

    def run(self) -> bool:
        """Show the plan to its end and return True, or False if it was ended before."""
        import pylsl

        self._clock = pylsl.local_clock
        completed, block = False, -1
        try:
            for sequence in self._plan.sequences:
                if sequence[0].block != block:
                    if block >= 0:
                        self._mark("block-end", block=block)
                    block = sequence[0].block
                    self._announce(block)
                    self._mark("block-start", block=block)
                self._rest(sequence)
                gc.disable()  # A collection in mid-sequence could cost a frame.
                self._show(sequence)
                gc.enable()
                self._report_progress(block)
            self._mark("block-end", block=block)
            completed = True
        except Aborted:
            self._tell("aborted", shown=len(self.shown))
        finally:
            gc.enable()
            self._mark("run-end", completed=completed, shown=len(self.shown))
        return completed

    def _show(self, sequence: Sequence[Trial]) -> None:
        plan, screen = self._plan, self._screen
        frame_s, lead_s, waits = screen.refresh.frame_s, screen.refresh.flip_s, screen.refresh.vsync
        due = self._clock() + 2 * frame_s
        for position, trial in enumerate(sequence):
            if self._obey():
                due = self._clock() + 2 * frame_s
            screen.draw(self._surfaces[trial.picture])
            screen.wait_until(due - lead_s)
            flip = screen.flip()
            onset, late = flip.done, screen.refresh.frames_late(flip.done - due)
            extra: dict[str, Any] = {"trial": trial.index, "block": trial.block, "sequence": trial.sequence}
            if late:
                extra["dropped"] = late
            kind, name = (TARGET, None) if trial.is_target else (PICTURE, trial.picture)
            self._outlet.send(Marker(onset, kind, name, extra))
            next_due = onset + plan.onset_to_onset_s if waits or late else due + plan.onset_to_onset_s
            off, overstay = next_due, 0
            if plan.on_s < plan.onset_to_onset_s or position == len(sequence) - 1:
                screen.draw(None)
                screen.wait_until(onset + plan.on_s - lead_s)
                off = screen.flip().done
                overstay = screen.refresh.frames_late(off - onset - plan.on_s)
            shown = Shown(
                trial.index, trial.picture, trial.block, trial.sequence, due, flip.asked, onset, off, late + overstay
            )
            self.shown.append(shown)
            self._log.write("trial", **asdict(shown), flagged=shown.flagged)
            due = next_due
        self._pause_here_until(due)

    def _pause_here_until(self, deadline: float) -> None:
        self._screen.wait_until(deadline)
        self._obey()

    def _rest(self, sequence: Sequence[Trial]) -> None:
        """Show the empty ground for the planned pause, and get the next sequence's pictures ready meanwhile."""
        began = self._clock()
        self._screen.draw(None)
        self._screen.flip()
        wanted = {trial.picture for trial in sequence}
        kept = [name for name in self._surfaces if name not in wanted]
        for name in kept[: max(0, len(kept) + len(wanted) - KEPT_SURFACES)]:
            del self._surfaces[name]
        for trial in sequence:
            if trial.picture not in self._surfaces:
                self._surfaces[trial.picture] = (
                    self._screen.prepare_target()
                    if trial.is_target
                    else self._screen.prepare(self._pictures.image(trial.picture))
                )
                self._obey()
        self._screen.wait_until(began + self._plan.pause_s)

    def _announce(self, block: int) -> None:
        """Say what comes, and wait for the participant where there is one."""
        n_blocks = self._plan.trials[-1].block + 1
        progress = len(self.shown) / len(self._plan.trials)
        if not self._attended:
            return
        first = block == self._plan.trials[0].block
        lines = (
            f"Block {block + 1} of {n_blocks}",
            "Look at the dot in the middle. Pictures will appear around it.",
            "Press the space bar each time you see the bull's-eye.",
            "Press the space bar to begin." if first else "Rest as long as you like, then press the space bar.",
        )
        self._wait_for_go(lines, progress)

    def _obey(self) -> bool:
        """Do what keys and words ask for; return whether there was a pause.

        Raises
        ------
        Aborted
            If the run is to end.
        """
        pause = False
        while not self._words.empty():
            word = self._words.get()
            if word == STOP:
                raise Aborted
            pause = word == PAUSE if word in (PAUSE, RESUME) else pause
        asked = False
        for key, timestamp in self._screen.pressed():
            if key == ABORT_KEY:
                self._escape(timestamp)
                asked = True
                continue
            pause = pause or key in PAUSE_KEYS
            self._outlet.send(Marker(timestamp, "response", extra={"key": key}))
        if pause or asked:
            self._mark("paused")
            self._tell("paused", shown=len(self.shown))
            self._wait_for_go(PAUSED if pause else None)
            self._mark("resumed")
            self._tell("resumed", shown=len(self.shown))
        return pause or asked

    def _escape(self, timestamp: float) -> None:
        """Take in the key that ends the run, which counts only when it comes again soon."""
        if self._abort.press(timestamp):
            raise Aborted

    def _wait_for_go(self, lines: tuple[str, ...] | None, progress: float | None = None) -> None:
        """Show `lines` until a key or a word says to go on; where there are none, until nobody answers `ASKS`."""
        shown = None
        while True:
            wanted = ASKS if self._abort.asks(self._clock()) else lines
            if wanted is None:
                return
            if wanted != shown:
                self._screen.draw_text(wanted, progress)
                self._screen.flip()
                shown = wanted
            self._screen.wait_until(self._clock() + 0.02)
            while not self._words.empty():
                word = self._words.get()
                if word == STOP:
                    raise Aborted
                if word == RESUME:
                    return
                lines = PAUSED if word == PAUSE and lines is None else lines
            if any(self._goes_on(key, timestamp) for key, timestamp in self._screen.pressed()):
                return

    def _goes_on(self, key: str, timestamp: float) -> bool:
        if key == ABORT_KEY:
            self._escape(timestamp)
        return key in GO_KEYS

    def _mark(self, kind: str, **extra: Any) -> None:
        self._outlet.send(Marker(self._clock(), kind, extra=extra))

    def _report_progress(self, block: int) -> None:
        dropped = sum(shown.dropped for shown in self.shown)
        flagged = sum(shown.flagged for shown in self.shown)
        self._tell(
            "progress",
            shown=len(self.shown),
            of=len(self._plan.trials),
            block=block,
            blocks=self._plan.trials[-1].block + 1,
            dropped=dropped,
            flagged=flagged,
        )
