"""Signals, and what a process is called: what the processes of a session have in common."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

FROM_TERMINAL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, and a terminal that was closed."""


def leave_to_session() -> None:
    """Leave what the terminal sends to the session, and let this process bear its own name in ``ps`` and ``top``.

    The session ends the process, which ends by itself where the session is gone.
    """
    for number in FROM_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    call(multiprocessing.current_process().name)


def call(name: str) -> None:
    """Call this process `name`, 15 letters at most, where the system lets it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def on_terminate(finish: Callable[[], None]) -> None:
    """Have `finish` called where this process is asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: finish())


@contextmanager
def ended_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Have Ctrl-C, SIGTERM and a closed terminal call `end` once, so that all is written; another one breaks off.

    Parameters
    ----------
    end
        Called in a thread of its own, since the signal may come while the main thread holds any lock.
    """
    asked = threading.Event()

    def hear(number: int, _frame: FrameType | None) -> None:
        if number not in (signal.SIGINT, signal.SIGTERM):
            _leave_terminal()
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        threading.Thread(target=end, name="end", daemon=True).start()

    before = {number: signal.signal(number, hear) for number in (*FROM_TERMINAL, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_terminal() -> None:
    """Write to nowhere from now on what went to the terminal, which is gone: writing to it would fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in sys.stdout, sys.stderr:
        if stream is not None and stream.isatty():
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
