"""Epochs for notebooks: cut from recordings, or kept by a live session, as ``mne.Epochs``."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.data.mne_epochs import as_epochs
from calibration.data.reading import read_trials, read_windows
from calibration.data.trials import Trials
from configs.errors import InputError
from configs.schema import Config, load_config
from perceptogram.live.spool import Spool

if TYPE_CHECKING:
    import mne

    from realtime.decoding.bundle import Bundle
    from realtime.epoching.epochs import Epoch


def read_epochs(
    recordings: Sequence[str | Path], config: Config | str | Path, *, pre_stimulus: bool = False
) -> mne.EpochsArray:
    """Return the epochs that a map is fitted on, cut from recordings by the code that cuts them live.

    Saved as ``-epo.fif`` they are all that ``perceptogram fit --epochs`` needs for a bundle that runs live: how they
    were cut stands in ``info["description"]``. Trials may be dropped; whatever else is changed the fit notices.

    Parameters
    ----------
    recordings
        Files of one stream, in the order in which they were made.
    config
        Settings, or a YAML file or preset: markers, filters and window.
    pre_stimulus
        Return the windows of the same length that end at onset instead, in which the pictures cannot be.

    Returns
    -------
    EEG in volts behind the causal filters; metadata ``picture``, ``recording``, ``onset_s``, ``flags``, ``rms_uv``.

    Raises
    ------
    configs.errors.InputError
        If a recording cannot be read, or there is no trial in them.

    Examples
    --------
    >>> read_epochs(["absent.xdf"], "demo")
    Traceback (most recent call last):
        ...
    realtime.sources.metadata.SourceError: there is no recording absent.xdf; give a file ending in ...
    """
    settings = config if isinstance(config, Config) else load_config(config)
    names = [Path(path).name for path in recordings]
    if not pre_stimulus:
        return as_epochs(read_trials(recordings, settings), settings, names)
    windows = read_windows(recordings, settings)
    if not len(windows.pre_stimulus):
        msg = "no stimulus of these recordings has a pre-stimulus window"
        raise InputError(msg)
    return as_epochs(windows.pre_stimulus, settings, names)


@dataclass(frozen=True)
class _Told:
    onset: float
    flags: tuple[str, ...]


class KeptEpochs:
    """The windows of a live session, on the disk meanwhile, so that hours of them take no memory."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._told: dict[int, _Told] = {}
        self._lock = threading.Lock()  # the session's thread writes, a script's reads
        weakref.finalize(self, self._spool.close)  # they can be asked for as long as the session is there

    def add(self, epoch: Epoch, name: str) -> None:
        """Keep a window under the name of what was shown."""
        with self._lock:
            lost = self._spool.lost
            self._spool.add(epoch.trial, name, epoch.samples.ravel())
            if self._spool.lost == lost:
                self._told[epoch.trial] = _Told(epoch.onset, epoch.flags)

    def drop(self, trial: int) -> None:
        """Leave out a window that has turned out wrong."""
        with self._lock:
            self._spool.drop(trial)
            self._told.pop(trial, None)

    def trials(self, bundle: Bundle, simulated: bool) -> Trials:
        """Return what was kept, in order.

        Raises
        ------
        InputError
            If there is nothing yet.
        """
        with self._lock:
            rows, told = self._spool.read(), list(self._told.values())
        if not rows:
            msg = "no window has been decoded yet"
            raise InputError(msg)
        shape = (len(rows), *bundle.weights.shape[:2])
        return Trials(
            samples=np.array([vector for _, vector in rows]).reshape(shape),
            names=np.array([name for name, _ in rows], dtype=np.str_),
            onsets=np.array([one.onset for one in told]),
            recordings=np.zeros(len(rows), np.int64),
            times_s=bundle.first_s + np.arange(shape[1]) / bundle.rate_hz,
            rate_hz=bundle.rate_hz,
            spec=bundle.spec,
            filters=bundle.filters,
            flags=tuple(one.flags for one in told),
            simulated=simulated,
        )
