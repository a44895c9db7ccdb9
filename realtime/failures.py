"""What fails in a session and how often: one failure is told and gone on from, the same one again and again ends it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

logger = logging.getLogger(__name__)

MOST = 5
WITHIN_S = 10.0
"""Seconds within which `MOST` failures of one stage end the session; longer ends it sooner."""


class SessionFailedError(RuntimeError):
    """A stage of the session that fails again and again; one line says which and how."""


class Failures:
    """Counts the failures of each stage.

    Parameters
    ----------
    clock
        Seconds on a steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def note(self, stage: str, error: Exception) -> str:
        """Log a failure with its traceback and return one line about it.

        Raises
        ------
        SessionFailedError
            If this stage has failed too often.
        """
        text = f"{stage} failed: {' '.join(f'{type(error).__name__}: {error}'.split())}"
        logger.error("%s", text, exc_info=error)
        times = self._times.setdefault(stage, deque(maxlen=MOST))
        times.append(self._clock())
        if len(times) == MOST and times[-1] - times[0] < WITHIN_S:
            msg = f"{text} ({MOST} times within {WITHIN_S:g} s)"
            raise SessionFailedError(msg) from error
        return text
