"""What an estimator is given, ``mne.Epochs`` or arrays in volts, as the fit takes it: trials in microvolts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.data.mne_epochs import CutEpochs, as_trials, records
from calibration.model.examples import Layout
from configs.schema import WindowSettings

if TYPE_CHECKING:
    import mne

MICROVOLTS = 1e6


@dataclass(frozen=True)
class Input:
    """Epochs as they were given.

    Attributes
    ----------
    volts
        ``[trials, channels, times]``, or ``[trials, features]`` of an array without a time axis.
    times_s
        ``[times]`` after onset; None where that is not known.
    epochs
        MNE's epochs, where it was these.
    cut
        What is known of them, where `perceptogram.read_epochs` made them.
    """

    volts: Any
    times_s: NDArray[np.float64] | None
    epochs: mne.BaseEpochs | None = None
    cut: CutEpochs | None = None

    @property
    def names(self) -> NDArray[np.str_] | None:
        """What was shown in each trial, by the metadata of epochs."""
        rows = None if self.epochs is None else records(self.epochs.metadata)
        if rows is None or "picture" not in rows[0]:
            return None
        return np.array([row["picture"] for row in rows], dtype=np.str_)


def given(x: Any, tmin: float | None, sfreq: float | None) -> Input:
    """Return what stands in `x`.

    Parameters
    ----------
    x
        ``mne.Epochs``, or an array ``[trials, channels, times]`` or ``[trials, features]`` in volts.
    tmin
        Time of an array's first sample in seconds after onset.
    sfreq
        Rate of an array's samples in Hz.
    """
    if hasattr(x, "get_data") and hasattr(x, "tmin"):
        cut = as_trials(x)
        return Input(x.get_data(copy=False), np.asarray(x.times, np.float64), x, cut)
    times_s = None
    if tmin is not None and sfreq is not None and np.ndim(x) == 3:
        times_s = tmin + np.arange(np.shape(x)[2]) / sfreq
    return Input(x, times_s)


def microvolts(volts: NDArray[Any], kept: slice) -> NDArray[np.float32]:
    """Return the samples `kept`, float32 ``[trials, times, channels]`` in microvolts; features are one sample."""
    shaped = volts[:, :, None] if volts.ndim == 2 else volts
    # The order in memory is a recording's, too: sums are taken along it, and their last bit depends on that.
    return np.ascontiguousarray(shaped.swapaxes(1, 2)[:, kept] * MICROVOLTS, dtype=np.float32)


def within(times_s: NDArray[np.float64] | None, window: WindowSettings) -> slice:
    """Return which samples the window needs; all where times are not known.

    Raises
    ------
    ValueError
        If the epochs do not reach over the window's baseline, or hold no two samples of the window.
    """
    if times_s is None:
        return slice(None)
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    keep = np.flatnonzero((times_s >= window.first_s - step / 2) & (times_s < window.stop_s - step / 2))
    late = window.baseline_s is not None and times_s[0] > window.baseline_s[0] + step / 2
    if len(keep) < 2 or late:
        msg = f"epochs from {times_s[0]:g} to {times_s[-1]:g} s do not reach over window and baseline"
        raise ValueError(msg)
    return slice(int(keep[0]), int(keep[-1]) + 1)


def layout_of(times_s: NDArray[np.float64] | None, n_times: int, window: WindowSettings) -> Layout:
    """Return where window and baseline lie in epochs.

    Parameters
    ----------
    times_s
        ``[times]`` after onset; where they are not known the window is everything.
    n_times
        Samples of an epoch.
    window
        Begin of the window, and the baseline.
    """
    if times_s is None:
        return Layout(0, np.zeros(n_times))
    return Layout.of(times_s, window.start_s, window.baseline_s)
