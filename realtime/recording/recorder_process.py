"""The process that records: every wanted stream, as sent, into one XDF file that is whole at every moment.

Written here and not left to LabRecorder's code, because a session must say exactly which streams to keep, add its own
streams when they appear, know how many samples were kept, and lose nothing when this process is killed: another one,
which waits beside it, has received the same streams and goes on in the same file.
"""

from __future__ import annotations

import logging
import struct
import time
from pathlib import Path

from realtime.processes.signals import call, leave_to_session, on_terminate
from realtime.processes.supervised import Connection, Reports
from realtime.recording.recorder_file import RecordingFile
from realtime.recording.recorder_inlets import KEPT_S, Inlets
from realtime.recording.recorder_messages import Finished, Instead, RecorderNotice, Stop, ToRecorder, Write
from realtime.sources.selection import Wanted

logger = logging.getLogger(__name__)

TURN_S = 0.1
RETRY_S = 1.0
"""Seconds after which it is tried again to write where that failed."""
HUNG_S = 2.0
"""Seconds that one turn may take before another recorder takes over."""
RESUMING_S = 60.0
"""Seconds that the first turn may take, where a long file is gone on in, before another recorder takes over."""
FAREWELL_S = 10.0


def record(pipe: Connection, wanted: tuple[Wanted, ...]) -> None:
    """Receive the `wanted` streams, and write them once told where, until `Stop` comes or `pipe` closes."""
    leave_to_session()
    recorder = _Recorder(pipe, list(wanted))
    # so does a session end that forgets to stop it: the file is finished all the same
    on_terminate(recorder.finish)
    recorder.run()


class _Recorder:
    def __init__(self, pipe: Connection, wanted: list[Wanted]) -> None:
        self._pipe = pipe
        self._wanted = wanted
        self._finishing = False
        self._inlets = Inlets()
        self._to: Write | None = None
        self._file: RecordingFile | None = None
        self._fault: str | None = None
        self._retry = 0.0
        self._reports = Reports(pipe, patience_s=HUNG_S)

    def finish(self) -> None:
        """Make `run` finish the file and end."""
        self._finishing = True

    def run(self) -> None:
        """Record until told to stop."""
        while self._commands():
            for said in self._inlets.turn(self._wanted):
                self._reports.say(said)
            if self._to is not None and time.monotonic() >= self._retry:
                self._write(self._to)
            if self._to is None or self._fault is not None:
                for track in self._inlets.tracks:
                    track.forget(time.monotonic() - KEPT_S)
            self._reports.turn()
        if self._to is not None:
            self._reports.say(self._finish())
        self._reports.close(FAREWELL_S)

    def _commands(self) -> bool:
        """Wait for the time between two turns; returns whether to go on."""
        try:
            if not self._pipe.poll(TURN_S):
                return not self._finishing
            command: ToRecorder = self._pipe.recv()
        except (EOFError, OSError):
            return False  # the session has gone: finish the file
        if isinstance(command, Write):
            self._to = command
            call("recorder")
        elif isinstance(command, Instead):
            self._wanted = [one for one in self._wanted if one != command.old] + [command.new]
        return not isinstance(command, Stop)

    def _write(self, to: Write) -> None:
        """Write what waits; say when that fails, and when it is possible again."""
        tracks = self._inlets.tracks
        try:
            if self._file is None:
                self._reports.turn(RESUMING_S)
                self._file = _open(to)
            if self._file.write(tracks):
                text = f"{to.path} was deleted while it was written; it is put back, whole"
                self._reports.say(RecorderNotice("recorder", text))
        except OSError as error:
            self._retry = time.monotonic() + RETRY_S
            if self._fault is None:
                self._fault = f"nothing is recorded any more: cannot write {to.path} ({error.strerror or error})"
                self._reports.say(RecorderNotice("unwritten", self._fault))
            return
        if self._fault is not None:
            dropped = sum(track.dropped for track in self._inlets.tracks)
            lost = f"{dropped} samples are missing" if dropped else "nothing is missing"
            self._reports.say(RecorderNotice("recorder", f"recording goes on in {self._file.path}; {lost}"))
            self._fault = None
            for track in tracks:
                track.dropped = 0

    def _finish(self) -> Finished:
        self._inlets.end()
        self._inlets.turn(self._wanted)
        try:
            if self._file is None:
                assert self._to is not None
                self._file = _open(self._to)
            self._file.finish(self._inlets.tracks)
        except OSError as error:
            self._fault = self._fault or f"the end of {self._file and self._file.path} is missing: {error}"
        return Finished({} if self._file is None else self._file.samples, self._fault)


def _open(to: Write) -> RecordingFile:
    """Return the file to write to; one that cannot be gone on in is left alone for another beside it."""
    if not to.resume:
        return RecordingFile(to.path)
    try:
        return RecordingFile(to.path, resume=True)
    except (ValueError, KeyError, IndexError, struct.error):
        logger.exception("%s is not as it was written; it is left alone", to.path)
        return RecordingFile(free_name(to.path))


def free_name(path: Path) -> Path:
    """Return the first of ``run.xdf``, ``run_part2.xdf``, ... that there is no file of."""
    part, free = 1, path
    while free.exists():
        part += 1
        free = path.with_name(f"{path.stem}_part{part}{path.suffix}")
    return free
