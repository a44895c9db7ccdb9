"""Which of torch's attention kernels is fastest: card, shapes and arithmetic decide, so all are tried."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH)
ROUNDS = 5


@contextmanager
def attention_by(backend: SDPBackend | None) -> Iterator[None]:
    """Attention is computed by `backend` meanwhile; None leaves the choice to torch."""
    if backend is None:
        yield
        return
    with sdpa_kernel(backend):
        yield


def fastest(
    make: Callable[[SDPBackend], Callable[[], None]],
    device: torch.device,
) -> SDPBackend | None:
    """Return the backend whose function takes least; None where none of them can be used.

    Parameters
    ----------
    make
        Returns what computes with a backend; one that raises `RuntimeError` cannot be used here.
    device
        Where it computes.
    """
    taken: dict[SDPBackend, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # why a backend cannot be used is told as a warning for each reason
        for backend in BACKENDS:
            try:
                function = make(backend)
                taken[backend] = min(_seconds(function, device) for _ in range(ROUNDS))
            except RuntimeError:
                _wait(device)  # raises again where no later call can succeed
    return min(taken, key=lambda backend: taken[backend], default=None)


def _seconds(function: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
