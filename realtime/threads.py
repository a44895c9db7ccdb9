"""One thread is the fastest for small products.

Linear algebra hands small matrices to all cores, and its threads then spin while they wait for one another: on two idle
cores a ridge map of 100 trials takes ten times as long as on one, and longer yet where the cores have other work.
"""

from __future__ import annotations

from contextlib import AbstractContextManager


def one_thread() -> AbstractContextManager[object]:
    """Hold linear algebra to one thread; what is inside cannot lift it."""
    from scipy import linalg  # noqa: F401  (brings a library of its own; what is not loaded yet cannot be held)
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
