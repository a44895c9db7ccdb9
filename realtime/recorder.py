"""Recording everything on the wire into XDF, by a process of its own that is watched and replaced if it dies."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import InputError
from realtime.recorder_process import Ended, Failed, Finished, Ready, Recording, Stop, record
from realtime.sources.base import Notice
from realtime.sources.metadata import Wanted

__all__ = ["Recorded", "Recorder", "RecorderError", "Wanted"]

STARTING_S = 20.0
FINISHING_S = 10.0


class RecorderError(InputError):
    """A recording that cannot be made; one line says why and what to do."""


@dataclass(frozen=True)
class Recorded:
    """What was recorded: the files (more than one if the recorder was replaced) and the samples by stream name."""

    files: tuple[Path, ...]
    samples: dict[str, int]


class Recorder:
    """Records streams into an XDF file.

    If the recording process dies, another one goes on in a second file beside the first (``run.xdf``,
    ``run_part2.xdf``), and `notices` says so.

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
        self._missing: list[Wanted] = []
        self._files: list[Path] = []
        self._samples: dict[str, int] = {}
        self._process: multiprocessing.process.BaseProcess | None = None
        self._ready = False
        if path.exists():
            msg = f"{path} exists and a recording is never overwritten; choose another name"
            raise RecorderError(msg)
        if not path.parent.is_dir():
            msg = f"there is no folder {path.parent} to record into; make it first"
            raise RecorderError(msg)

    @property
    def pid(self) -> int | None:
        """Process id of the recording process at present."""
        return None if self._process is None else self._process.pid

    def start(self, timeout_s: float = 10.0) -> None:
        """Start, and return once every wanted stream is being recorded.

        Raises
        ------
        RecorderError
            If one of them is not found within `timeout_s`, or the file cannot be written.
        """
        self._launch()
        give_up = time.monotonic() + STARTING_S
        while self._missing and time.monotonic() < give_up:
            was_ready = self._ready
            for notice in self.notices(wait_s=0.1):
                if notice.kind == "lost":
                    raise RecorderError(notice.text)
            if self._ready and not was_ready:
                give_up = time.monotonic() + timeout_s
        if self._missing:
            listed = "; ".join(str(wanted) for wanted in self._missing)
            if not any(self.stop().samples.values()):
                self._path.unlink(missing_ok=True)
            msg = f"nothing to record agrees with {listed}; start those streams first or leave them out"
            raise RecorderError(msg)

    def add(self, wanted: Wanted) -> None:
        """Record one more stream, now or as soon as it appears."""
        self._wanted.append(wanted)
        self._missing.append(wanted)
        self._send(wanted)

    @property
    def missing(self) -> tuple[Wanted, ...]:
        """What is wanted and not yet recorded."""
        return tuple(self._missing)

    def notices(self, wait_s: float = 0.0) -> list[Notice]:
        """Return what the recorder has to report; call it every second or sooner, since it also replaces a dead one.

        Kinds: ``"lost"`` (a stream ended, or the recording process died), ``"restarted"``, ``"recording"``.
        """
        if self._process is None:
            return []
        notices = []
        while (message := self._receive(wait_s)) is not None:
            wait_s = 0.0
            self._ready = self._ready or isinstance(message, Ready)
            if isinstance(message, Recording):
                self._missing = [wanted for wanted in self._missing if wanted not in message.wanted]
                notices.append(_notice("recording", f"recording {message.stream.title}"))
            elif isinstance(message, Ended):
                notices.append(_notice("lost", f"stream {message.stream.name!r} ended; its recording stays"))
            elif isinstance(message, Failed):
                self._process.join()
                self._process = None
                return [*notices, _notice("lost", message.text)]
        if not self._process.is_alive():
            notices.append(_notice("lost", f"the recorder died; {self._files[-1]} holds all but the last moment"))
            self._launch()
            notices.append(_notice("restarted", f"another recorder goes on in {self._files[-1]}"))
        return notices

    def stop(self) -> Recorded:
        """Finish the file and return what was recorded; safe to call twice."""
        if self._process is not None:
            self._send(Stop())
            give_up = time.monotonic() + FINISHING_S
            while time.monotonic() < give_up and self._process.is_alive():
                message = self._receive(0.1)
                if isinstance(message, Finished):
                    self._samples = message.samples
                    break
            self._process.join(1.0)
            self._process.kill()
            self._process.join()
            self._process = None
        # One that had only just been replaced may not have begun its file.
        return Recorded(tuple(file for file in self._files if file.exists()), self._samples)

    def _launch(self) -> None:
        part = len(self._files) + 1
        path = self._path if part == 1 else self._path.with_name(f"{self._path.stem}_part{part}{self._path.suffix}")
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, path, tuple(self._wanted))
        self._process = context.Process(target=record, args=arguments, name="recorder", daemon=True)
        self._process.start()
        theirs.close()
        self._missing = list(self._wanted)
        self._files.append(path)

    def _send(self, message: Wanted | Stop) -> None:
        try:
            self._pipe.send(message)
        except OSError:
            return  # it has died: `notices` says so and starts another, which is told everything

    def _receive(self, wait_s: float) -> Ready | Recording | Ended | Failed | Finished | None:
        try:
            message: Recording | Ended | Failed | Finished | None = (
                self._pipe.recv() if self._pipe.poll(wait_s) else None
            )
        except (EOFError, OSError):
            return None
        return message


def _notice(kind: str, text: str) -> Notice:
    import pylsl

    return Notice(pylsl.local_clock(), kind, text)
