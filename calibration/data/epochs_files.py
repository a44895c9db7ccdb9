"""Epochs and embeddings that were made elsewhere: MNE epochs, plain arrays, tables of embeddings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from calibration.data.mne_epochs import CutEpochs, as_trials, records
from calibration.data.targets import Targets, given_targets
from calibration.data.trials import Trials
from calibration.errors import FitError
from realtime.sources.base import StreamSpec
from realtime.sources.readers.marks import names
from realtime.spaces import EmbeddingSpace

_VOLTS_TO_MICROVOLTS = 1e6
_NAME_KEYS = ("pictures", "names")
_TABLE_KEYS = ("embeddings", "img_features", "image_features")


@dataclass(frozen=True)
class ReadyMade:
    """Epochs as they came.

    Attributes
    ----------
    trials
        The whole epochs, baseline included.
    concepts
        What each picture shows, by name; the name itself where nothing is known.
    """

    trials: Trials
    concepts: Mapping[str, str]


def read_epochs(path: str | Path) -> ReadyMade:
    """Return the epochs in an MNE ``-epo.fif`` file or an ``.npz`` archive.

    The archive holds ``samples [trials, times, channels]`` in microvolts, ``rate`` in Hz, ``tmin`` in seconds,
    ``channels``, ``pictures`` and, where they are known, ``concepts``, one a trial. Of MNE epochs the metadata column
    ``picture`` tells what was shown, and ``concept`` what that is; without metadata it is the event's name.

    Raises
    ------
    FitError
        If the file cannot be read or does not hold what it should.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"no file {path}: give epochs as -epo.fif or .npz"
        raise FitError(msg)
    if path.name.endswith((".fif", ".fif.gz")):
        return _read_mne(path)
    if path.suffix == ".npz":
        return _read_npz(path)
    msg = f"cannot read epochs from {path}: give -epo.fif or .npz"
    raise FitError(msg)


def _read_npz(path: Path) -> ReadyMade:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # numpy leaves a broken one open
            content = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, BadZipFile) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}"
        raise FitError(msg) from error
    missing = [key for key in ("samples", "rate", "tmin", "channels", "pictures") if key not in content]
    if missing:
        msg = f"{path} lacks {', '.join(missing)}; it holds {', '.join(sorted(content))}"
        raise FitError(msg)
    try:
        return _ready_made(
            path,
            content["samples"],
            float(content["rate"]),
            float(content["tmin"]),
            _texts(content["channels"]),
            np.array(_texts(content["pictures"]), dtype=np.str_),
            np.array(_texts(content["concepts"]), dtype=np.str_) if "concepts" in content else None,
        )
    except (TypeError, ValueError) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}"
        raise FitError(msg) from error


def _texts(values: Any) -> list[str]:
    """Return names as text; other programs store them as bytes."""
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]


def read_cut(path: str | Path) -> CutEpochs | None:
    """Return the epochs in a file that `perceptogram.read_epochs` made; None where they were made elsewhere.

    Raises
    ------
    FitError
        If the file cannot be read, or was written by another version.
    """
    import mne

    path = Path(path)
    if not path.is_file() or not path.name.endswith((".fif", ".fif.gz")):
        return None
    try:
        return as_trials(mne.read_epochs(path, preload=True, verbose="error"))
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}"
        raise FitError(msg) from error


def _read_mne(path: Path) -> ReadyMade:
    import mne

    try:
        epochs = mne.read_epochs(path, preload=True, verbose="error")
        bads = list(epochs.info["bads"])
        epochs.pick("eeg", exclude="bads")
    except (OSError, ValueError) as error:
        msg = f"cannot read {path}: {' '.join(str(error).split())}"
        raise FitError(msg) from error
    rows = records(epochs.metadata)
    if rows is None:
        called = {code: name for name, code in epochs.event_id.items()}
        pictures = np.array([called[code] for code in epochs.events[:, 2]], dtype=np.str_)
    elif "picture" not in rows[0]:
        msg = f"{path}: metadata have no column 'picture' (they have {', '.join(map(str, rows[0]))})"
        raise FitError(msg)
    else:
        pictures = np.array([row["picture"] for row in rows], dtype=np.str_)
    concepts = None
    if rows is not None and "concept" in rows[0]:
        concepts = np.array([row["concept"] for row in rows], dtype=np.str_)
    samples = epochs.get_data(copy=False).swapaxes(1, 2) * _VOLTS_TO_MICROVOLTS
    made = _ready_made(path, samples, epochs.info["sfreq"], epochs.tmin, epochs.ch_names, pictures, concepts)
    told = (f"{path.name}: marked as bad and left out: {names(bads)}",) if bads else ()
    return replace(made, trials=replace(made.trials, notices=told))


def _ready_made(
    path: Path,
    samples: NDArray[Any],
    rate_hz: float,
    tmin_s: float,
    channels: Sequence[str],
    pictures: NDArray[np.str_],
    concepts: NDArray[np.str_] | None,
) -> ReadyMade:
    if not (np.isfinite(rate_hz) and rate_hz > 0 and np.isfinite(tmin_s)):
        msg = f"{path}: rate {rate_hz:g} Hz and tmin {tmin_s:g} s must be finite, the rate above 0"
        raise FitError(msg)
    if samples.dtype.kind not in "fiu":
        msg = f"{path}: samples are of type {samples.dtype}, numbers expected"
        raise FitError(msg)
    if samples.ndim != 3 or samples.shape[0] != len(pictures) or samples.shape[2] != len(channels):
        msg = f"{path}: samples {samples.shape} must be [trials ({len(pictures)}), times, channels ({len(channels)})]"
        raise FitError(msg)
    if not len(samples) or not np.isfinite(samples.sum(dtype=np.float64)):
        msg = f"{path}: there are no samples, or some are NaN or infinite; drop those trials"
        raise FitError(msg)
    if concepts is not None and len(concepts) != len(pictures):
        msg = f"{path}: {len(concepts)} concepts for {len(pictures)} trials"
        raise FitError(msg)
    n, times = samples.shape[:2]
    trials = Trials(
        samples=samples.astype(np.float32),
        names=pictures,
        onsets=np.arange(n, dtype=np.float64),
        recordings=np.zeros(n, np.int64),
        times_s=tmin_s + np.arange(times) / rate_hz,
        rate_hz=rate_hz,
        spec=StreamSpec(path.name.split(".")[0], "EEG", "", rate_hz, tuple(channels)),
        filters={"ready_made": path.name},
        flags=((),) * n,
    )
    shown = pictures if concepts is None else concepts
    return ReadyMade(trials, dict(zip(pictures.tolist(), shown.tolist(), strict=True)))


def read_embeddings(path: str | Path, ready: ReadyMade) -> Targets:
    """Return the targets in an ``.npy``, ``.npz``, ``.pt`` or ``.safetensors`` file.

    A file without names has one row for each picture shown, in the order of the sorted names. It is refused where
    that order is another as text (1, 10, 2) than as numbers (1, 2, 10): nothing tells which of them the rows follow.

    Parameters
    ----------
    path
        The file. Where it names its rows, the list is called ``pictures``: an array beside ``embeddings``, an entry of
        the dictionary, or a JSON list in the metadata of a safetensors file.
    ready
        The epochs, for the names of the pictures.

    Raises
    ------
    FitError
        If the file cannot be read, or its rows do not fit the pictures.
    """
    path = Path(path)
    table, names = read_table(path)
    shown = sorted(ready.concepts)
    if names is None:
        if len(table) != len(shown):
            msg = f"{path} has {len(table)} rows for {len(shown)} pictures shown; add a list 'pictures' that names them"
            raise FitError(msg)
        numbered = sorted(shown, key=_by_number)
        if numbered != shown:
            msg = (
                f"{path} does not name its rows, and the pictures' order is {', '.join(shown[:4])}, ... as text and "
                f"{', '.join(numbered[:4])}, ... as numbers: save it as .npz with a list 'pictures' that names the rows"
            )
            raise FitError(msg)
        names = shown
    if len(names) != len(table):
        msg = f"{path} has {len(names)} names for {len(table)} rows"
        raise FitError(msg)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{path} has two rows for {twice!r}: give one a picture"
        raise FitError(msg)
    labels = [ready.concepts.get(name, name) for name in names]
    return given_targets(names, labels, table, EmbeddingSpace("given", path.name, table.shape[1]))


def _by_number(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key under which the numbers in names are sorted by their value."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def read_table(path: str | Path) -> tuple[NDArray[np.float32], list[str] | None]:
    """Return the embeddings ``[rows, dims]`` in a file and, where it has them, their names.

    Raises
    ------
    FitError
        If the file cannot be read, or does not hold finite rows.
    """
    from safetensors import SafetensorError

    path = Path(path)
    try:
        table, names = _load_table(path)
    except (OSError, ValueError, KeyError, RuntimeError, BadZipFile, UnpicklingError, SafetensorError) as error:
        msg = f"cannot read embeddings from {path}: {' '.join(str(error).split())[:120]}"
        raise FitError(msg) from error
    if table.ndim != 2:
        msg = f"{path}: embeddings {table.shape} must be [pictures, dims]"
        raise FitError(msg)
    if table.dtype.kind not in "fiu" or not np.isfinite(table).all():
        msg = f"{path}: embeddings of type {table.dtype} must be finite numbers"
        raise FitError(msg)
    return table.astype(np.float32), names


def _load_table(path: Path) -> tuple[NDArray[Any], list[str] | None]:
    content: Any
    if path.suffix == ".npy":
        content = np.load(path, allow_pickle=False)
    elif path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # numpy leaves a broken one open
            content = {key: archive[key] for key in archive.files}
    elif path.suffix in (".pt", ".pth"):
        import torch

        content = torch.load(path, map_location="cpu", weights_only=True)
    elif path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:  # numpy has no bfloat16
            content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            content |= {key: json.loads(text) for key, text in (file.metadata() or {}).items() if key in _NAME_KEYS}
    else:
        msg = "give .npy, .npz, .pt or .safetensors"
        raise ValueError(msg)
    if not isinstance(content, Mapping):
        return _array(content), None
    names = next((content[key] for key in _NAME_KEYS if key in content), None)
    tables = [key for key in content if key not in _NAME_KEYS]
    found = next((key for key in _TABLE_KEYS if key in content), tables[0] if len(tables) == 1 else None)
    if found is None:
        msg = f"no table called 'embeddings'; it holds {', '.join(map(str, content))}"
        raise ValueError(msg)
    return _array(content[found]), None if names is None else _texts(names)


def _array(values: Any) -> NDArray[Any]:
    """Return an array or a tensor as an array; 16-bit floats, as encoders on a GPU leave them, as float32."""
    if hasattr(values, "detach"):
        values = values.detach()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)
