"""What a bundle remembers of the trials that its map learned from: enough for a later fit, and none of the trials.

A fit by least squares needs of its trials only sums of products. The trials about their mean, turned by an orthogonal
matrix, have the same sums, and no more rows than a window has numbers: those rows are kept. Their own products are the
noise covariance over space and time, whatever a later fit averages, whitens or leaves out first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.bundle_record import MemoryRecord

MEMORY_FILE = "memory.safetensors"
ARRAYS = ("window", "targets", "mean_window", "mean_target")
_MOST_CLASSES = 20
"""Dimensions of the targets up to which they may be classes."""


@dataclass(frozen=True)
class Memory:
    """The evidence behind a map.

    Attributes
    ----------
    window, targets
        float32 ``[rows, times, channels]`` in microvolts, the baseline subtracted, and ``[rows, dims]``: the trials
        about their mean, turned.
    mean_window, mean_target
        float32 ``[times, channels]`` and ``[dims]``: the trials' means.
    n_trials
        How many trials there were.
    by_recording
        How many of them in each recording.
    alpha, step_s, smooth_s, windows
        What was chosen for the map: its penalty, and how epochs became features
        (`calibration.model.noise.Candidate`).
    baseline_s
        What was subtracted from each epoch.
    """

    window: NDArray[np.float32]
    targets: NDArray[np.float32]
    mean_window: NDArray[np.float32]
    mean_target: NDArray[np.float32]
    n_trials: int
    by_recording: tuple[int, ...]
    alpha: float
    step_s: float
    smooth_s: tuple[float, ...]
    windows: tuple[tuple[float, float] | None, ...]
    baseline_s: tuple[float, float] | None = None

    @property
    def megabytes(self) -> float:
        """Size on disk."""
        return sum(array.nbytes for array in self._arrays().values()) / 1e6

    def of_channels(self, columns: list[int]) -> Memory:
        """Return what would be remembered had only these channels been there, in this order: exact."""
        return replace(self, window=self.window[:, :, columns], mean_window=self.mean_window[:, columns])

    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance ``[channels, channels]`` of the trials about their mean window."""
        flat = self.window.reshape(-1, self.window.shape[2]).astype(np.float64)
        covariance: NDArray[np.float64] = flat.T @ flat / (self.n_trials * self.window.shape[1])
        return covariance

    def window_covariance(self) -> NDArray[np.float64]:
        """Return the mean covariance ``[channels, channels]`` of the trials' windows, each about its own level."""
        flat = (self.window - self.window.mean(axis=1, keepdims=True)).reshape(-1, self.window.shape[2])
        covariance: NDArray[np.float64] = flat.T.astype(np.float64) @ flat / (self.n_trials * self.window.shape[1])
        return covariance

    def noise(self) -> NDArray[np.float32]:
        """Return rows ``[rows, times, channels]`` with the products of the trials about the mean of their class.

        Where targets are no classes, they are the trials' about the mean of all: `window`.
        """
        level = self.mean_target.astype(np.float64)
        if len(level) > _MOST_CLASSES or level.min() < 0 or abs(level.sum() - 1) > 1e-3:
            return self.window
        flat, known = self.window.reshape(len(self.window), -1).astype(np.float64), self.targets.astype(np.float64)
        # The rows hold but the part of the targets that the windows account for; all of it follows from the mean.
        values, vectors = np.linalg.eigh(known.T @ known)
        kept = values > 1e-6 * values[-1]
        root, inverse = vectors[:, kept] * np.sqrt(values[kept]), vectors[:, kept] / np.sqrt(values[kept])
        whole = self.n_trials * (np.diag(level) - np.outer(level, level))
        left, turn = np.linalg.eigh(np.eye(root.shape[1]) - root.T @ np.linalg.pinv(whole, 1e-6) @ root)
        share = np.eye(len(left)) - (turn * np.sqrt(np.maximum(left, 0.0))) @ turn.T
        flat -= known @ (inverse @ share @ inverse.T @ (known.T @ flat))
        return flat.reshape(self.window.shape).astype(np.float32)

    def mixed(self, mixing: NDArray[np.floating[Any]]) -> Memory:
        """Return what would be remembered had the samples been multiplied by ``[channels, channels]``: exact."""
        narrow = mixing.astype(np.float32)
        return replace(self, window=self.window @ narrow, mean_window=self.mean_window @ narrow)

    def record(self) -> dict[str, Any]:
        """Return what ``bundle.json`` says of it."""
        told = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ARRAYS}
        return told | {"rows": len(self.window), "n_times": self.window.shape[1], "megabytes": round(self.megabytes, 1)}

    def write(self, folder: Path) -> None:
        """Write the arrays beside the bundle's."""
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(array) for name, array in self._arrays().items()}, folder / MEMORY_FILE)

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        return {name: getattr(self, name) for name in ARRAYS}


def read_memory(folder: Path, told: MemoryRecord, channels: int, dims: int) -> Memory:
    """Return what a bundle remembers.

    Parameters
    ----------
    folder
        The bundle's.
    told
        What ``bundle.json`` says of it.
    channels, dims
        How many the bundle has.

    Raises
    ------
    ValueError
        In one line, if an array is missing, damaged or of another shape.
    """
    from realtime.decoding.bundle_record import read_arrays

    shapes = {
        "window": (told.rows, told.n_times, channels),
        "targets": (told.rows, dims),
        "mean_window": (told.n_times, channels),
        "mean_target": (dims,),
    }
    arrays = read_arrays(folder / MEMORY_FILE, shapes)
    kept: dict[str, Any] = told.model_dump(exclude={"rows", "n_times", "megabytes", "window_s"})
    if not isinstance(told.smooth_s, tuple):
        kept |= {"smooth_s": (told.smooth_s,), "windows": (told.window_s,)}
    return Memory(**kept | arrays)
