"""Recording everything on the wire into XDF, by a process that is watched and replaced if it dies or hangs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from configs.errors import InputError
from realtime.processes.supervised import Supervised
from realtime.recording.recorder_messages import (
    Finished,
    FromRecorder,
    Instead,
    RecorderNotice,
    Stop,
    StreamFound,
    Write,
)
from realtime.recording.recorder_process import free_name, record
from realtime.sources.base import Notice, NoticeKind
from realtime.sources.selection import Wanted

__all__ = ["Recorded", "Recorder", "RecorderError", "Wanted"]

logger = logging.getLogger(__name__)

STARTING_S = 20.0
"""Seconds that a process may take to start."""
HUNG_S = 3.0
"""Seconds of silence after which a process that has spoken is replaced."""
FINISHING_S = 20.0
SPARE_S = 2.0
"""Shortest time, in seconds, from one spare process to the next."""


class RecorderError(InputError):
    """A recording that cannot be made; one line says why and what to do."""

    about = "recordings"


@dataclass(frozen=True)
class Recorded:
    """What was recorded: the files (more than one where none could be gone on in), the samples by stream name."""

    files: tuple[Path, ...]
    samples: dict[str, int]


@dataclass
class _Hand:
    """One recording process, and what it does not receive yet."""

    process: Supervised
    missing: list[Wanted]

    @classmethod
    def start(cls, wanted: Sequence[Wanted]) -> _Hand:
        return cls(Supervised("recorder-spare", record, (tuple(wanted),), hung_s=HUNG_S), list(wanted))

    def hear(self, wait_s: float) -> list[FromRecorder]:
        """Return what it has said, waiting up to `wait_s` for the first word."""
        heard: list[FromRecorder] = list(self.process.hear(wait_s))
        for message in heard:
            if isinstance(message, StreamFound):
                self.missing = [one for one in self.missing if one not in message.wanted]
        return heard


class Recorder:
    """Records streams into an XDF file.

    Two processes receive the streams, one writes. If that one dies or hangs, the other goes on in the same file behind
    its last sample, so that nothing is missing, and `notices` says so. A disk that is full, and a file that is deleted,
    are told; the recording goes on as soon as that is possible.

    Parameters
    ----------
    path
        The XDF file to write; it must not exist.
    streams
        Which streams to record; ``Wanted()`` agrees with all of them, now and later.

    Raises
    ------
    RecorderError
        If the file exists or its folder does not.
    """

    def __init__(self, path: Path, streams: Sequence[Wanted]) -> None:
        self._path = path
        self._wanted = list(streams)
        self._files = [path]
        self._samples: dict[str, int] = {}
        self._hand: _Hand | None = None
        self._spare: _Hand | None = None
        self._spared = 0.0
        if path.exists():
            msg = f"{path} exists and a recording is never overwritten; choose another name"
            raise RecorderError(msg)
        if not path.parent.is_dir():
            msg = f"there is no folder {path.parent} to record into; make it first"
            raise RecorderError(msg)

    @property
    def pid(self) -> int | None:
        """Process id of the writing process at present."""
        return None if self._hand is None else self._hand.process.pid

    @property
    def spared(self) -> bool:
        """Whether the other process receives everything that this one does, so that nothing would be missing."""
        return self._spare is not None and self._spare.process.spoke and self._spare.missing == [*self.missing]

    def start(self, timeout_s: float = 10.0, may_follow: Sequence[Wanted] = ()) -> None:
        """Start, and return once every wanted stream is being recorded.

        Parameters
        ----------
        timeout_s
            Seconds to wait for them.
        may_follow
            Those of them that are recorded whenever they appear, where they have not by then.

        Raises
        ------
        RecorderError
            If one of the others is not found by then, or the file cannot be written.
        """
        self._hand = _Hand.start(self._wanted)
        self._hand.process.tell(Write(self._path, resume=False))
        give_up = time.monotonic() + STARTING_S
        started = False
        while self.missing and time.monotonic() < give_up:
            said = self._hand.hear(0.1)
            if self._hand.process.spoke and not started:
                started, give_up = True, time.monotonic() + timeout_s
            fault = next(
                (one.text for one in said if isinstance(one, RecorderNotice) and one.kind == "unwritten"), None
            )
            if fault is None and (trouble := self._hand.process.trouble) is not None:
                fault = f"the recorder {trouble} while it started"
            if fault is not None:
                self._end_all()
                raise RecorderError(fault)
        needed = [wanted for wanted in self.missing if wanted not in may_follow]
        if needed:
            listed = "; ".join(str(wanted) for wanted in needed)
            if not any(self.stop().samples.values()):
                self._path.unlink(missing_ok=True)
            msg = f"nothing to record agrees with {listed}; start those streams first or leave them out"
            raise RecorderError(msg)
        self._get_spare()

    def add(self, wanted: Wanted, instead_of: Wanted | None = None) -> None:
        """Record one more stream, now or as soon as it appears, `instead_of` another where one is given."""
        self._wanted = [one for one in self._wanted if one != instead_of] + [wanted]
        for hand in self._hand, self._spare:
            if hand is not None:
                hand.missing = [one for one in hand.missing if one != instead_of] + [wanted]
                hand.process.tell(Instead(instead_of, wanted))

    @property
    def missing(self) -> tuple[Wanted, ...]:
        """What is wanted and not yet recorded."""
        return () if self._hand is None else tuple(self._hand.missing)

    def notices(self, wait_s: float = 0.0) -> list[Notice]:
        """Return what the recorder has to report; call it every second or sooner, since it also replaces a dead one.

        Kinds: ``"lost"`` (a stream ended, or the recording process died or hung), ``"restarted"``, ``"recording"``,
        ``"unwritten"`` (nothing can be written any more), ``"unreadable"`` (a sample that is no text), ``"recorder"``.
        """
        if self._hand is None:
            return []
        notices = []
        for message in self._hand.hear(wait_s):
            if isinstance(message, StreamFound):
                notices.append(_notice("recording", f"recording {message.stream.title}"))
            elif isinstance(message, RecorderNotice):
                notices.append(_notice(message.kind, message.text))
        if (trouble := self._hand.process.trouble) is not None:
            notices += self._take_over(trouble)
        if self._spare is not None:
            self._spare.hear(0.0)
            if (trouble := self._spare.process.trouble) is not None:
                logger.warning("the recorder's spare %s; starting another", trouble)
                self._spare.process.close()
                self._spare = None
        if self._spare is None:
            self._get_spare()
        return notices

    def troubles(self) -> list[Notice]:
        """Return `notices` as a session passes them on: not that a stream is recorded, and each as the recorder's."""
        told = [notice for notice in self.notices() if notice.kind != "recording"]
        return [replace(notice, text=f"recorder: {notice.text}") for notice in told]

    def stop(self) -> Recorded:
        """Finish the file and return what was recorded; safe to call twice."""
        if self._hand is not None:
            self._hand.process.tell(Stop())
            give_up = time.monotonic() + FINISHING_S
            finished = None
            while finished is None and time.monotonic() < give_up:
                said = self._hand.hear(0.1)
                finished = next((one for one in said if isinstance(one, Finished)), None)
                if finished is None and (trouble := self._hand.process.trouble) is not None:
                    for notice in self._take_over(trouble):
                        logger.warning("%s", notice.text)
                    self._hand.process.tell(Stop())
            if finished is None or finished.fault is not None:
                logger.error("%s", "the recording has no end" if finished is None else finished.fault)
            self._samples = {} if finished is None else finished.samples
            self._end_all()
        return Recorded(tuple(file for file in self._files if file.exists()), self._samples)

    def _take_over(self, trouble: str) -> list[Notice]:
        """Let the spare process go on where the one before ended."""
        assert self._hand is not None
        gone = self._hand.process.close()
        self._hand, self._spare = self._spare or _Hand.start(self._wanted), None
        self._hand.process.be_patient()
        if not gone:  # two must not write to one file
            self._files.append(free_name(self._path))
        self._hand.process.tell(Write(self._files[-1], resume=gone))
        lost = _notice("lost", f"the recorder {trouble}; {self._files[0]} is whole")
        return [lost, _notice("restarted", f"another recorder goes on in {self._files[-1]}")]

    def _get_spare(self) -> None:
        if time.monotonic() - self._spared > SPARE_S:
            self._spared = time.monotonic()
            self._spare = _Hand.start(self._wanted)

    def _end_all(self) -> None:
        for hand in self._hand, self._spare:
            if hand is not None:
                hand.process.close(0.0 if hand is self._spare else 1.0)
        self._hand = self._spare = None


def _notice(kind: NoticeKind, text: str) -> Notice:
    import pylsl

    return Notice(pylsl.local_clock(), kind, text)
