"""Vectors that are needed again only at the end: on the disk meanwhile, so that hours of them take no memory."""

from __future__ import annotations

import logging
import tempfile
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


class Spool:
    """Vectors of one length, each with its trial and a name.

    The file has no name of its own: whatever ends the program, nothing is left of it.

    Parameters
    ----------
    folder
        On whose disk; the system's place for temporary files where it is left out.

    Attributes
    ----------
    lost
        Vectors that the disk had no room for.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)
        self._names: dict[str, int] = {}
        self._rows: array[int] = array("q")  # trial and number of the name, one row after another
        self._dropped: set[int] = set()
        self.lost = 0

    def add(self, trial: int, name: str, vector: NDArray[np.float32]) -> None:
        """Keep `vector` ``[dims]``; one that the disk has no room for is counted.

        Parameters
        ----------
        trial
            Number of the trial.
        name
            Its picture.
        vector
            float32 ``[dims]``; one that the disk has no room for is counted.
        """
        at = len(self._rows) // 2 * vector.nbytes
        try:
            self._file.seek(at)
            self._file.write(vector.tobytes())
            self._file.flush()
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                logger.warning("trial %d cannot be kept for the scores: %s", trial, error)
            return
        self._rows.extend((trial, self._names.setdefault(name, len(self._names))))

    def drop(self, trial: int) -> None:
        """Leave a trial out."""
        self._dropped.add(trial)

    def read(self) -> list[tuple[str, NDArray[np.float32]]]:
        """Return name and vector ``[dims]`` of every trial that was not dropped, in order."""
        if not self._rows:
            return []
        rows = np.array(self._rows).reshape(-1, 2)
        names = list(self._names)
        self._file.seek(0)
        vectors = np.frombuffer(self._file.read(), np.float32)
        vectors = vectors[: len(vectors) // len(rows) * len(rows)].reshape(len(rows), -1)
        return [
            (names[name], vector)
            for (trial, name), vector in zip(rows.tolist(), vectors, strict=True)
            if trial not in self._dropped
        ]

    def close(self) -> None:
        """Let the file go. Safe to call twice."""
        self._file.close()
