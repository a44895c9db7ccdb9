"""Trials as ``mne.Epochs`` and back: the file tells how they were cut, so that a map fitted on them can run live."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.trials import Refusal, Trials
from calibration.errors import FitError
from configs.schema import Config, parse_config
from realtime.sources.base import StreamSpec

if TYPE_CHECKING:
    import mne

_MICROVOLTS = 1e6
_KEY = "perceptogram_epochs"
_VERSION = 1
_COLUMNS = ("picture", "recording", "onset_s", "flags", "rms_uv")
_SAME = 1e-5
"""Share by which the size of an epoch may differ from what was cut: single precision changes less, filters more."""


@dataclass(frozen=True)
class CutEpochs:
    """Epochs that were cut from recordings by the live path's own code.

    Attributes
    ----------
    trials
        The epochs.
    config
        The settings that they were cut with.
    recordings
        Names of the recordings.
    changed
        What was done to them since, so that no stream can be treated alike; None where nothing was.
    """

    trials: Trials
    config: Config
    recordings: tuple[str, ...]
    changed: str | None


def as_epochs(trials: Trials, config: Config, recordings: Sequence[str] = ()) -> mne.EpochsArray:
    """Return trials as MNE has them, in volts.

    Parameters
    ----------
    trials
        At least one.
    config
        What they were cut with.
    recordings
        Names of the recordings.

    Returns
    -------
    An event is named by the picture shown, or the class. The metadata have ``picture``, ``recording``, ``onset_s`` on
    the recording's clock, ``flags``, and ``rms_uv``, by which changed samples are noticed. The metadata are a data
    frame where pandas is installed, else a list of dictionaries. ``info["description"]`` tells how they were cut.
    """
    import mne

    from realtime.electrodes import has_position, standard_montage

    names, codes = np.unique(trials.names, return_inverse=True)
    info = mne.create_info(list(trials.spec.channels), trials.rate_hz, "eeg")
    if all(map(has_position, trials.spec.channels)):
        info.set_montage(standard_montage(), match_case=False, verbose="error")
    info["description"] = json.dumps(_cut_record(trials, config, recordings))
    return mne.EpochsArray(
        trials.samples.swapaxes(1, 2).astype(np.float64) / _MICROVOLTS,
        info,
        np.stack([np.arange(len(trials)), np.zeros(len(trials), np.int64), codes + 1], axis=1),
        tmin=float(trials.times_s[0]),
        event_id={str(name): code for code, name in enumerate(names, start=1)},
        metadata=_frame(_rows(trials)),
        verbose="error",
    )


def _cut_record(trials: Trials, config: Config, recordings: Sequence[str]) -> dict[str, Any]:
    return {
        _KEY: _VERSION,
        "config": config.model_dump(mode="json"),
        "recordings": list(recordings),
        "spec": asdict(trials.spec),
        "filters": trials.filters,
        "first_s": float(trials.times_s[0]),
        "n_times": len(trials.times_s),
        "refused": [asdict(refusal) for refusal in trials.refused],
        "lost": trials.lost,
        "simulated": trials.simulated,
        "notices": list(trials.notices),
    }


def _rows(trials: Trials) -> list[dict[str, Any]]:
    flags = ["; ".join(told) for told in trials.flags or ((),) * len(trials)]
    columns = (trials.names.tolist(), trials.recordings.tolist(), trials.onsets.tolist(), flags, _sizes(trials.samples))
    return [dict(zip(_COLUMNS, values, strict=True)) for values in zip(*columns, strict=True)]


def _sizes(samples: NDArray[np.float32]) -> list[float]:
    """Return the root mean square of each epoch in microvolts."""
    sizes: list[float] = np.sqrt(np.mean(np.square(samples, dtype=np.float64), axis=(1, 2))).tolist()
    return sizes


def _frame(rows: list[dict[str, Any]]) -> Any:
    """Return metadata as MNE wants them: a data frame where pandas is installed, and only there."""
    return import_module("pandas").DataFrame(rows) if find_spec("pandas") else rows


def records(metadata: Any) -> list[dict[str, Any]] | None:
    """Return MNE's metadata as one dictionary a trial: a data frame, or already a list where pandas is missing."""
    if metadata is None or not len(metadata):
        return None
    return metadata if isinstance(metadata, list) else list(metadata.to_dict("records"))


def as_trials(epochs: mne.BaseEpochs) -> CutEpochs | None:
    """Return what `as_epochs` was given, for all trials that are still there; None of epochs that were made elsewhere.

    Raises
    ------
    FitError
        If they were written by another version.
    """
    told = _description(epochs)
    if told is None:
        return None
    if told[_KEY] != _VERSION:
        msg = f"these epochs are of version {told[_KEY]}, this software reads {_VERSION}: cut them again"
        raise FitError(msg)
    rows = records(epochs.metadata) or []
    if len(rows) != len(epochs) or not rows or not set(_COLUMNS) <= set(rows[0]):
        return None
    spec = StreamSpec(**(told["spec"] | {"channels": tuple(told["spec"]["channels"])}))
    volts = epochs.get_data(copy=False)
    trials = Trials(
        samples=np.ascontiguousarray(volts.swapaxes(1, 2) * _MICROVOLTS, dtype=np.float32),
        names=np.array([row["picture"] for row in rows], dtype=np.str_),
        onsets=np.array([row["onset_s"] for row in rows], dtype=np.float64),
        recordings=np.array([row["recording"] for row in rows], dtype=np.int64),
        times_s=np.asarray(epochs.times, np.float64),
        rate_hz=float(epochs.info["sfreq"]),
        spec=spec,
        filters=told["filters"],
        flags=tuple(tuple(row["flags"].split("; ")) if row["flags"] else () for row in rows),
        refused=tuple(Refusal(**refusal) for refusal in told["refused"]),
        lost=told["lost"],
        simulated=told["simulated"],
        notices=tuple(told["notices"]),
    )
    changed = _changed(epochs, trials, told, [row["rms_uv"] for row in rows])
    return CutEpochs(trials, parse_config(told["config"], "of the epochs"), tuple(told["recordings"]), changed)


def _description(epochs: mne.BaseEpochs) -> dict[str, Any] | None:
    try:
        told = json.loads(epochs.info["description"] or "")
    except ValueError:
        return None
    return told if isinstance(told, dict) and _KEY in told else None


def _changed(epochs: mne.BaseEpochs, trials: Trials, told: Mapping[str, Any], sizes: list[float]) -> str | None:
    """Return what was done to the epochs since they were cut, as far as a live stream could not be treated alike."""
    if tuple(epochs.ch_names) != trials.spec.channels:
        return "their channels were picked, renamed or put in another order: name them under stream.channels instead"
    if len(trials.times_s) != told["n_times"] or abs(trials.times_s[0] - told["first_s"]) > 0.5 / trials.rate_hz:
        return "their window or rate was changed: set window and filters.rate_hz instead"
    if not np.allclose(_sizes(trials.samples), sizes, rtol=_SAME, atol=0):
        return "their samples were changed (filtered, re-referenced, baseline): set filters and window instead"
    return None
