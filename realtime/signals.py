"""Signals that a terminal sends to a session and all its processes at once are the session's to handle."""

from __future__ import annotations

import signal
from collections.abc import Callable

FROM_TERMINAL = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, and a terminal that was closed."""


def leave_to_session() -> None:
    """Ignore them in this process, which the session ends, or which ends when the session is gone."""
    for number in FROM_TERMINAL:
        signal.signal(number, signal.SIG_IGN)


def on_terminate(finish: Callable[[], None]) -> None:
    """Have `finish` called where this process is asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: finish())
