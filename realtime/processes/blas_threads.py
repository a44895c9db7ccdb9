"""One thread is the fastest for small products.

Linear algebra hands small matrices to all cores, and its threads then spin while they wait for one another: on two idle
cores a ridge map of 100 trials takes ten times as long as on one, and longer yet where the cores have other work.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[object]:
    """Hold numpy's and scipy's linear algebra to one thread; what is inside cannot lift it."""
    limits: AbstractContextManager[object] = _libraries().limit(limits=1)
    return limits


@cache
def _libraries() -> Any:
    """Return the libraries that are loaded once numpy and scipy are; to look for them takes longer than a small map."""
    from scipy import linalg  # noqa: F401  (brings a library of its own; what is not loaded yet cannot be held)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def wait_passively() -> None:
    """Have OpenMP's threads sleep while they wait for one another, here and in every process started from here.

    Threads that spin make a picture thirty times slower once the cores have other work. OpenMP reads this when it is
    loaded, so this belongs before the first import of torch. It is for programs of our own: the environment is whole
    programs', not one session's.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
