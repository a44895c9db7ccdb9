"""Where people are fitted side by side: on this machine, or on a cluster that is already there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from calibration.progress import Part, Share
from configs.errors import InputError
from configs.extras import require

TIMEOUT_S = 10.0
"""Seconds for which a scheduler, and then its first worker, is waited for."""


@contextmanager
def workers(jobs: int = 1, backend: str = "loky", dask: str | None = None) -> Iterator[None]:
    """Have joblib work where it is told to, for as long as this is open.

    Parameters
    ----------
    jobs
        How many people at a time; on a cluster as many as it has workers.
    backend
        One of joblib's: loky, threading, ...
    dask
        Address of a cluster's scheduler, such as ``tcp://10.0.0.1:8786``, in place of them.

    Raises
    ------
    InputError
        If dask is not installed, or nothing answers there.
    """
    from joblib import parallel_config

    if dask is None:
        with parallel_config(backend=backend, n_jobs=jobs):
            yield
        return
    require("cluster", "--dask")
    from distributed import Client

    try:
        client = Client(dask, timeout=TIMEOUT_S, set_as_default=True)
    except (OSError, ValueError) as error:
        msg = f"--dask {dask}: no scheduler answers there ({type(error).__name__}): give its address"
        raise InputError(msg) from error
    with client, parallel_config(backend="dask", wait_for_workers_timeout=TIMEOUT_S):
        yield


def each(
    work: Callable[..., Any], things: Sequence[Any], *arguments: Any, tell: Part = lambda _done, _total: None
) -> list[Any]:
    """Return what `work` makes of each of `things`, in their order, wherever `workers` has it done.

    Parameters
    ----------
    work
        A function of a module: it travels by name. Where it is called here, one thing after the other, its argument
        `tell` gets what is to be told which share of a thing is done.
    things
        Its first argument, one after the other.
    arguments
        The others, the same for all.
    tell
        Told how many are done, and of how many; where the work is done on a cluster, once all are.
    """
    from joblib import Parallel, delayed

    parallel = Parallel()
    tell(0, len(things))
    found: list[Any] = []
    if parallel.n_jobs == 1:

        def share_of(number: int) -> Share:
            return lambda share: tell(number + share, len(things))

        for number, thing in enumerate(things):
            found.append(work(thing, *arguments, tell=share_of(number)))
            tell(number + 1, len(things))
        return found
    parts = (delayed(work)(thing, *arguments) for thing in things)
    one_by_one = parallel._backend.supports_return_generator
    for one in Parallel(return_as="generator" if one_by_one else "list")(parts):
        found.append(one)
        tell(len(found), len(things))
    return found
