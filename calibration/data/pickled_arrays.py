"""THINGS-EEG2's preprocessed files: pickled dictionaries of arrays, read without running anything that is in them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FitError

_PLAIN = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


@dataclass(frozen=True)
class Preprocessed:
    """One file: float32 ``[pictures, repeats, times, channels]``, channel names and times in seconds."""

    samples: NDArray[np.float32]
    channels: tuple[str, ...]
    times_s: NDArray[np.float64]


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays and plain containers and refuses everything else: a downloaded file runs no code."""

    def find_class(self, module: str, name: str) -> Any:
        # What numpy 1 wrote names the package's old place.
        module = module.replace("numpy.core.", "numpy._core.")
        if (module, name) not in _PLAIN:
            msg = f"it holds {module}.{name}, which is neither an array nor a plain value"
            raise pickle.UnpicklingError(msg)
        return super().find_class(module, name)


def read_preprocessed(path: str | Path) -> Preprocessed:
    """Return the trials in one preprocessed file: ``preprocessed_eeg_data``, ``ch_names`` and ``times``.

    The published channel list may end in ``stim`` where the data have no such channel, or have it as one more: it is
    dropped from wherever it is.

    Raises
    ------
    FitError
        If the file cannot be read, or its shapes do not fit each other.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _unpickle(file)
        samples = np.asarray(content["preprocessed_eeg_data"])
        channels = [str(name) for name in content["ch_names"]]
        times_s = np.asarray(content["times"], dtype=np.float64)
    except Exception as error:  # a broken or hostile pickle leads to whatever its commands do to an empty stack
        msg = f"cannot read {path}: {type(error).__name__}: {' '.join(str(error).split())}"
        raise FitError(msg) from error
    if samples.ndim != 4 or samples.shape[3] != len(times_s) or samples.dtype.kind not in "fiu":
        msg = f"{path}: {samples.dtype} data {samples.shape} must be numbers [pictures, repeats, channels, times "
        raise FitError(f"{msg}({len(times_s)})]")
    if "stim" in channels:
        place = channels.index("stim")
        if len(channels) == samples.shape[2]:
            samples = np.delete(samples, place, axis=2)
        channels.pop(place)
    if len(channels) != samples.shape[2]:
        msg = f"{path}: {len(channels)} channel names for {samples.shape[2]} channels"
        raise FitError(msg)
    return Preprocessed(samples.swapaxes(2, 3).astype(np.float32), tuple(channels), times_s)


def _unpickle(file: IO[bytes]) -> Any:
    """Return the dictionary in `file`: pickled as it is, or as numpy's array of one object."""
    if file.read(6) != b"\x93NUMPY":
        file.seek(0)
        return _PlainUnpickler(file).load()
    file.seek(0)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(file)
    if not dtype.hasobject:
        msg = "it holds a plain array, not a dictionary"
        raise ValueError(msg)
    return _PlainUnpickler(file).load().item()
