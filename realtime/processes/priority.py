"""The way from the amplifier to the embedding goes first on a processor that other work keeps busy.

A thread that wakes while another runs waits, under Linux's usual scheduling, until that one's turn is over: up to 4 ms,
whatever its niceness. Only the real-time policies take the processor at once; the lowest of their priorities suffices.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

LOWEST = 1
"""Real-time priority: ahead of every ordinary program, behind whatever else on this machine is real-time."""


def run_first(*, heirs: bool) -> bool:
    """Have the calling thread run before every ordinary program.

    Parameters
    ----------
    heirs
        Whether the threads and processes that it starts do so too.

    Returns
    -------
    Whether the system lets it. Linux does for root, and for users with an ``rtprio`` limit in
    ``/etc/security/limits.conf``, as audio programs ask for.
    """
    try:
        policy = os.SCHED_RR if heirs else os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(LOWEST))
    except (AttributeError, OSError):  # AttributeError: not Linux
        return False
    return True


@contextmanager
def undisturbed() -> Iterator[bool]:
    """Run the calling thread before every ordinary program, and spare it long garbage collections; tells `run_first`'s.

    What it starts meanwhile runs as usual.
    """
    gc.collect()
    gc.freeze()  # what is there now stays: looking through it takes tens of milliseconds
    first = run_first(heirs=False)
    try:
        yield first
    finally:
        if first:
            # Without that flag, a user who is not root could not go back.
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        gc.unfreeze()
