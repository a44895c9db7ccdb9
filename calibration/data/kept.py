"""What a long fit has come to, kept on the disk so that an interrupted one goes on and ends the same."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.files import whole_file

logger = logging.getLogger(__name__)

EVERY_S = 20.0
"""What took less is made anew; a state is written no more often."""

State = dict[str, Any]


def content_key(arrays: Iterable[NDArray[Any]], *others: object) -> str:
    """Return a key of all that a fit depends on: arrays by their content, others by what they print as."""
    digest = hashlib.blake2b(repr(others).encode(), digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class Kept:
    """A folder of states, each under a name.

    Parameters
    ----------
    folder
        Made when something is kept; of this fit alone.
    every_s
        `EVERY_S` when left out; 0 keeps everything.
    """

    def __init__(self, folder: Path, every_s: float | None = None) -> None:
        self._folder, self._every_s = folder, EVERY_S if every_s is None else every_s
        self._last = time.monotonic()

    def part(self, name: str) -> Kept:
        """Return where one part of the fit is kept."""
        return Kept(self._folder / name, self._every_s)

    def once(self, name: str, make: Callable[[], State]) -> State:
        """Return what was kept under `name`, or make it, and keep it where that took long."""
        found = self.load(name)
        if found is not None:
            return found
        begin = time.monotonic()
        made = make()
        if time.monotonic() - begin >= self._every_s:
            self.save(name, made)
        return made

    def load(self, name: str) -> State | None:
        """Return what was kept under `name`; None where nothing was, or it cannot be read."""
        import torch

        path = self._folder / f"{name}.pt"
        if not path.exists():
            return None
        try:
            found: State = torch.load(path, weights_only=True)
        except Exception as error:  # a damaged state costs time, never the fit
            logger.warning("%s cannot be read (%s): this part of the fit begins again", path, type(error).__name__)
            return None
        return found

    @property
    def due(self) -> bool:
        """Whether the last state is old enough for another."""
        return time.monotonic() - self._last >= self._every_s

    def save(self, name: str, state: State) -> None:
        """Keep `state`; a full disk costs the chance to go on, never the fit."""
        import torch

        self._last = time.monotonic()
        try:
            with whole_file(self._folder / f"{name}.pt") as part:
                torch.save(state, part)
        except (OSError, RuntimeError) as error:
            logger.warning("cannot keep the state of the fit in %s (%s)", self._folder, error)

    def forget(self) -> None:
        """Remove all that was kept, once the fit has its result."""
        shutil.rmtree(self._folder, ignore_errors=True)
