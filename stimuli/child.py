"""A part that runs as a process of its own: it reports in JSON lines on its output and takes words on its input.

The child ends when its input closes, so it never outlives the process that started it, however that one ended.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

STOP = "stop"
FIRST = -10
"""Niceness of a process that must not be late."""
KEPT = 32
"""Newest reports of each kind that are kept: a child that reports for hours takes no more memory than this."""
Report = Callable[..., None]


class ChildError(RuntimeError):
    """A child process that ended, or kept silent, when it should have reported; one line says which and why."""


class ChildProcess:
    """A running ``python -m module``, seen from the process that started it.

    Parameters
    ----------
    module
        Module to run; it speaks through `report` and listens through `commands`.
    arguments
        Its command line.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        root = str(Path(__file__).resolve().parents[__name__.count(".")])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        self._module = module
        # -P keeps files in the working directory from hiding our packages, whose names are plain words.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path},
        )
        self._changed = threading.Condition()
        self._reports: dict[str, deque[dict[str, Any]]] = {}
        self._counts: Counter[str] = Counter()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name=f"reports of {module}", daemon=True)
        self._reader.start()

    def latest(self, event: str) -> dict[str, Any] | None:
        """Return the last report of a kind, or None."""
        with self._changed:
            kept = self._reports.get(event)
            return kept[-1] if kept else None

    def wait_for(self, event: str, timeout_s: float, count: int = 1) -> dict[str, Any]:
        """Return report number `count` of a kind, as soon as it is there; the oldest kept where that one is gone.

        Parameters
        ----------
        event
            Kind of the report.
        timeout_s
            How long to wait, in seconds.
        count
            Which report of that kind, counted from 1.

        Raises
        ------
        ChildError
            If the child ends before, with its own words where it left some, or does not report in time.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._counts[event] >= count or self._ended, timeout_s)
            if self._counts[event] >= count:
                kept = self._reports[event]
                return kept[max(0, count - 1 - self._counts[event] + len(kept))]
            if self._ended:
                error = self._reports.get("error")
                why = error[-1].get("text", "") if error else f"exit code {self._process.wait()}"
                msg = f"{self._module} ended before {event!r}: {why}"
            else:
                msg = f"{self._module} did not report {event!r} within {timeout_s:g} s"
        raise ChildError(msg)

    def say(self, word: str) -> None:
        """Send one word to the child; a child that has ended hears nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.write(word + "\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ConnectionResetError, ValueError):
                self._reader.join(1.0)

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def wait(self, timeout_s: float | None = None) -> int:
        """Return the child's exit code once it has ended.

        Raises
        ------
        ChildError
            If it still runs after `timeout_s`.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            msg = f"{self._module} still runs after {timeout_s:g} s"
            raise ChildError(msg) from None
        self._reader.join()
        return code

    def stop(self, timeout_s: float = 5.0) -> int:
        """Ask the child to end, insist after `timeout_s`, and return its exit code; safe to call twice."""
        self.say(STOP)
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except (BrokenPipeError, ConnectionResetError):
                self._reader.join(1.0)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        code = self.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    def _read(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        for line in output:
            try:
                report = json.loads(line)
            except ValueError:
                report = None
            if not isinstance(report, dict) or "event" not in report:
                report = {"event": "output", "text": line.rstrip("\n")}
            with self._changed:
                kind = str(report["event"])
                self._counts[kind] += 1
                self._reports.setdefault(kind, deque(maxlen=KEPT)).append(report | {"received": time.monotonic()})
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def start_job(module: str, job: object, ready: str, timeout_s: float = 60.0) -> ChildProcess:
    """Start a module that does a job and return its process once it is ready.

    Parameters
    ----------
    module
        The module; it reads the job by `run_job` or its own command line.
    job
        A dataclass, sent as JSON.
    ready
        What the child reports when it is ready.
    timeout_s
        How long that may take, in seconds.

    Raises
    ------
    ChildError
        If it does not come up; the message is the child's own.
    """
    child = ChildProcess(module, ["--job", TypeAdapter(type(job)).dump_json(job).decode()])
    try:
        child.wait_for(ready, timeout_s)
    except BaseException:
        child.stop()
        raise
    return child


def report(event: str, **fields: Any) -> None:
    """Tell the parent something, from inside the child."""
    sys.stdout.write(json.dumps({"event": event} | fields, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def commands() -> queue.SimpleQueue[str]:
    """Return the words that the parent says, from inside the child; the last one is `STOP`."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            heard.put(line.strip())
        heard.put(STOP)

    threading.Thread(target=listen, name="commands", daemon=True).start()
    return heard


def run_job(
    module: str,
    arguments: Sequence[str] | None,
    run: Callable[[str, threading.Event], None],
    *,
    about: str,
    default: str | None = None,
    refused: tuple[type[Exception], ...],
) -> int:
    """Do a job until the parent says `STOP`, from inside the child, and return its exit code: 2 where it is refused.

    Parameters
    ----------
    module, arguments
        The module that runs, and its command line; None for the process's own.
    run
        Does the job, given as JSON, until the event is set.
    about
        What the job does, in a sentence.
    default
        The job without ``--job``; None where there must be one.
    refused
        Errors of a job that cannot be done as asked, which are reported in one line.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--job", required=default is None, default=default, help="settings in JSON")
    text = parser.parse_args(arguments).job
    stop, words = threading.Event(), commands()

    def obey() -> None:
        while words.get() != STOP:
            report("output", text=f"this process knows one word, {STOP!r}")
        stop.set()

    threading.Thread(target=obey, daemon=True).start()
    try:
        run(text, stop)
    except refused as error:
        report("error", text=" ".join(str(error).split()))
        return 2
    except KeyboardInterrupt:
        stop.set()
    return 0


def put_first() -> bool:
    """Have this thread, and those it starts, run before other programs; return whether the system lets it.

    Linux does for root, and for users who have a nice limit in ``/etc/security/limits.conf``.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    except (AttributeError, OSError):  # AttributeError: not a POSIX system
        return False
    return True
