"""A board on the air, from a process of its own: read through BrainFlow, sent as an LSL stream on LSL's clock.

So all that reads a stream reads a board: the session, its recorder, other programs. A board that is not ready, or that
falls silent, is told in one line and tried again; its stream stays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from configs.schema import StreamSettings
from realtime.sources.base import Notice
from realtime.sources.boards.board import Board, BoardSamples
from realtime.sources.boards.sample_clock import BoardClock
from realtime.sources.metadata import SourceError
from realtime.sources.publish import stream_info
from stimuli.child import ChildError, ChildProcess, Report, report, run_job

if TYPE_CHECKING:
    import pylsl

MODULE = f"{__package__}.bridge"
LOOK_S = 0.02
"""Seconds between two looks at the board; a percept is later by half of it."""
SILENT_S = 3.0
"""Seconds without a sample after which the board is opened anew."""
RETRY_S = 2.0
"""Seconds between two attempts to open a board."""
OPENING_S = 20.0
"""Seconds that a board may take to open beyond ``stream.timeout_s``: some are looked for over the air."""


@dataclass(frozen=True)
class BoardStream:
    """A board, and the name and source id under which it is on the air."""

    board: str
    settings: Mapping[str, str | int] = field(default_factory=dict)
    name: str = "Board"
    source_id: str = "perceptogram-board"


def stream_of(settings: StreamSettings) -> BoardStream:
    """Return the board that the settings name."""
    assert settings.board is not None  # as the settings hold
    name = settings.name or settings.board
    return BoardStream(settings.board, settings.board_settings, name, settings.source_id or f"brainflow-{name}")


def on_air(settings: StreamSettings) -> tuple[StreamSettings, ChildProcess | None]:
    """Return the settings of the stream to read and, where they name a board, the process that puts it on the air.

    The board is tried for ``timeout_s``. Whoever asks must stop the process.

    Raises
    ------
    SourceError
        If the board is not ready; one line says what to do.
    """
    if settings.source != "brainflow":
        return settings, None
    stream = stream_of(settings)
    child = ChildProcess(MODULE, ["--job", TypeAdapter(BoardStream).dump_json(stream).decode()])
    try:
        child.wait_for("streaming", settings.timeout_s + OPENING_S)
    except ChildError as error:
        told = child.latest("not-ready")
        child.stop()
        raise SourceError(str(error) if told is None else f"{told['text']}; tried {told['tries']} times") from error
    except BaseException:
        child.stop()
        raise
    found = {"source": "lsl", "name": stream.name, "source_id": stream.source_id, "unit": "microvolts"}
    return settings.model_copy(update=found), child


class BoardNews:
    """What is wrong with the board on the air, each reason once; asked now and then by whoever reads its stream."""

    def __init__(self, board: ChildProcess) -> None:
        self._board, self._told = board, ""

    def __call__(self) -> list[Notice]:
        """Return what is new."""
        import pylsl

        told = self._board.latest("not-ready")
        text = "" if told is None else str(told["text"])
        if not self._board.running:
            text = "the process that reads the board has ended; start the session again"
        if text == self._told:
            return []
        self._told = text
        return [Notice(pylsl.local_clock(), "lost", text)]


def run_board(
    stream: BoardStream,
    stop: threading.Event,
    tell: Report,
    opened: Callable[[], AbstractContextManager[Any]] | None = None,
) -> None:
    """Put a board on the air until `stop` is set; one that is not ready, or falls silent, is tried again.

    Parameters
    ----------
    stream
        Board and stream.
    stop
        Set it to end.
    tell
        Called with an event's name and its fields: ``"streaming"``, ``"not-ready"``, ``"status"``.
    opened
        Opens what is read in place of the board: something with the methods of `Board`.

    Raises
    ------
    SourceError
        If there is no such board.
    """
    import pylsl

    outlet: pylsl.StreamOutlet | None = None
    tries = 0
    while not stop.is_set():
        made = Board(stream.board, stream.settings) if opened is None else opened()
        tries += 1
        try:
            with made as board:
                if outlet is None:
                    spec = board.spec(stream.name, stream.source_id)
                    outlet = pylsl.StreamOutlet(stream_info(spec, stream.name, stream.source_id))
                tell("streaming", name=stream.name, source_id=stream.source_id, rate_hz=board.rate_hz)
                _pump(board, outlet, stop, tell)
        except SourceError as error:
            tell("not-ready", text=str(error), tries=tries)
            stop.wait(RETRY_S)


def _pump(board: Board, outlet: pylsl.StreamOutlet, stop: threading.Event, tell: Report) -> None:
    """Send what the board samples until it falls silent."""
    import pylsl

    clock = BoardClock(board.rate_hz, board.modulus)
    heard = told = time.monotonic()
    sent = 0
    while not stop.wait(LOOK_S):
        samples: BoardSamples = board.read()
        now = time.monotonic()
        if len(samples.host):
            heard = now
            # Both clocks are read now: a step of the computer's clock spoils one chunk at most.
            timestamps = samples.host + (pylsl.local_clock() - time.time())
            microvolts = samples.microvolts
            if samples.counts is not None:
                kept, timestamps = clock.timestamp(samples.counts, timestamps)
                microvolts = microvolts[kept]
            if len(timestamps):
                outlet.push_chunk(microvolts, timestamps.tolist())
                sent += len(timestamps)
        if now - heard > SILENT_S:
            msg = f"board {board.name} has sent nothing for {now - heard:.0f} s: is it on, charged and near?"
            raise SourceError(msg)
        if now - told > 1.0:
            told = now
            tell("status", sent=sent, lost=clock.lost)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process and return its exit code: 2 where the job cannot be done as asked."""
    return run_job(
        MODULE,
        arguments,
        lambda job, stop: run_board(TypeAdapter(BoardStream).validate_json(job), stop, report),
        about="Put a board on the air.",
        refused=(ValidationError, SourceError),
    )


if __name__ == "__main__":
    raise SystemExit(main())
