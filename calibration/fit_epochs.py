"""A fit on ready-made epochs: those of our own making run live, those made elsewhere never can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.data.epochs_files import ReadyMade, read_cut, read_embeddings, read_epochs
from calibration.data.mne_epochs import CutEpochs
from calibration.data.targets import make_targets
from calibration.data.trials import Trials
from calibration.errors import FitError
from calibration.fit import Fit, fit_trials
from calibration.progress import Progress
from configs.schema import Config

_OFFLINE = (
    "this bundle was fitted on ready-made epochs ({}), and how they were filtered is not known: it holds a map and its "
    "scores, and decodes no stream or recording; fit the recordings themselves for that"
)


_CHANGED = (
    "this bundle was fitted on epochs ({}) that were changed after they had been cut: it holds a map and its scores, "
    "and decodes no stream or recording; {}"
)
_CUTTING = ("stream", "markers", "filters", "window", "artefacts")
"""Sections of the settings that decide what an epoch is."""


def fit_epochs(
    epochs: str | Path, embeddings: str | Path | None, config: Config | None, progress: Progress | None = None
) -> tuple[Fit, Config]:
    """Return what was fitted on epochs from a file, and the settings that it was fitted with.

    Epochs that `perceptogram.read_epochs` made give the bundle that their recordings give, but for the score of
    pre-stimulus windows, which are not in them; it decodes streams. Others give what `fit_ready_made` does.

    Parameters
    ----------
    epochs
        ``-epo.fif`` or ``.npz``.
    embeddings
        File with an embedding of each picture; left out, those of the settings' picture set, for epochs of our own.
    config
        Settings; those that the epochs were cut with when left out.
    progress
        Called with the stage, how many of its parts are done and of how many.

    Raises
    ------
    FitError
        If a file cannot be used, or the settings are not those that the epochs were cut with.
    """
    cut = read_cut(epochs)
    if cut is None:
        if embeddings is None:
            msg = f"{epochs} was not made by perceptogram.read_epochs: give --embeddings of the pictures as well"
            raise FitError(msg)
        settings = Config() if config is None else config
        return fit_ready_made(epochs, embeddings, settings, progress), settings
    return _fit_cut(cut, Path(epochs).name, embeddings, config, progress)


def _fit_cut(
    cut: CutEpochs, name: str, embeddings: str | Path | None, config: Config | None, progress: Progress | None
) -> tuple[Fit, Config]:
    settings, trials = cut.config if config is None else config, cut.trials
    differ = [part for part in _CUTTING if getattr(settings, part) != getattr(cut.config, part)]
    if differ:
        parts = ", ".join(differ)
        msg = f"{name} was cut with other settings than --config has ({parts}): leave --config out, or cut it again"
        raise FitError(msg)
    if embeddings is None:
        targets = make_targets(settings, trials.names)
    else:
        targets = read_embeddings(embeddings, ReadyMade(trials, {str(shown): str(shown) for shown in trials.names}))
    result = fit_trials(trials, targets, settings, progress=progress)
    result.bundle.provenance["recordings"] = [*cut.recordings, name]
    if cut.changed is not None:
        result = replace(result, bundle=replace(result.bundle, offline=_CHANGED.format(name, cut.changed)))
    return result, settings


def fit_ready_made(epochs: str | Path, embeddings: str | Path, config: Config, progress: Progress | None = None) -> Fit:
    """Return what was fitted on epochs and embeddings from files.

    Window and baseline are those of the settings, as far as the epochs reach; samples before onset serve as the null.
    The bundle holds scores and a map, and says itself that it decodes no stream: how the epochs were filtered is not
    known, so no stream can be filtered alike.

    Parameters
    ----------
    epochs
        File of epochs that were filtered and cut elsewhere.
    embeddings
        File with an embedding of each picture in them.
    config
        Window, baseline, and alphas, folds, seed and permutations of the fit.
    progress
        Called with the stage, how many of its parts are done and of how many.

    Raises
    ------
    FitError
        If a file cannot be used, or the two do not fit each other.
    """
    ready = read_epochs(epochs)
    targets = read_embeddings(embeddings, ready)
    trials, config = _window(ready.trials, config)
    result = fit_trials(trials, targets, config, _pre_stimulus(ready.trials, config), progress)
    result.bundle.provenance["recordings"] = [Path(epochs).name, Path(embeddings).name]
    return replace(result, bundle=replace(result.bundle, offline=_OFFLINE.format(Path(epochs).name)))


def _window(trials: Trials, config: Config) -> tuple[Trials, Config]:
    """Return the trials cut to the settings' window, and the settings with what the epochs do not reach taken off."""
    step, window = 1 / trials.rate_hz, config.window
    begin, end = float(trials.times_s[0]), float(trials.times_s[-1]) + step
    start, stop = max(window.start_s, begin), min(window.stop_s, end)
    baseline = window.baseline_s
    if stop - start < 2 * step or (baseline is not None and baseline[0] < begin - step / 2):
        msg = f"epochs from {begin:g} to {end:g} s do not reach over window and baseline: change window in the config"
        raise FitError(msg)
    reached = window.model_copy(update={"start_s": start, "stop_s": stop})
    keep = (trials.times_s >= reached.first_s - step / 2) & (trials.times_s < stop - step / 2)
    cut = replace(trials, samples=trials.samples[:, keep], times_s=trials.times_s[keep])
    return cut, config.model_copy(update={"window": reached})


def _pre_stimulus(trials: Trials, config: Config) -> Trials | None:
    """Return the samples before onset, as many as the window has where there are so many; None where there are few."""
    width = config.window.stop_s - config.window.start_s
    step = 1 / trials.rate_hz
    keep = (trials.times_s < -step / 2) & (trials.times_s >= -width - step / 2)
    if np.count_nonzero(keep) < 2:
        return None
    return replace(trials, samples=trials.samples[:, keep], times_s=trials.times_s[keep])
