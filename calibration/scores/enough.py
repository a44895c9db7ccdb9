"""Whether there are trials, pictures and classes enough to learn a map and to score it."""

from __future__ import annotations

import logging

import numpy as np

from calibration.data.trials import Trials, check_channels
from calibration.errors import FitError
from calibration.model.examples import FEWEST_TRIALS, grouping
from calibration.model.folds import grouped_folds
from configs.schema import Config

FEWEST_PICTURES = 4
"""Each is compared with another one, by a map that learned neither and has learned two."""
_FEWEST_OF_A_CLASS = 5
_UNREAL_UV = 20_000.0
"""Swing within a window, behind the filters, that no electrode on a head has as a rule: 20 mV."""

logger = logging.getLogger(__name__)


def check_enough(trials: Trials, config: Config) -> None:
    """Refuse trials of which no map can be learned and scored.

    Raises
    ------
    FitError
        If trials, pictures, classes or those of one class are too few, or a channel never moves.
    """
    if len(trials) < FEWEST_TRIALS:
        msg = f"{len(trials)} usable trials ({len(trials.refused)} refused): at least {FEWEST_TRIALS} are needed"
        raise FitError(msg)
    names, sizes = np.unique(trials.names, return_counts=True)
    classes = tuple(dict.fromkeys(config.markers.classes.values()))
    missing = [name for name in classes if name not in names]
    if missing:
        msg = f"no trial of class {', '.join(map(repr, missing))}: markers.classes maps a label that never came"
        raise FitError(msg)
    if len(names) < 2:
        msg = f"all {len(trials)} trials show {str(names[0])!r}: a map needs at least two pictures or classes"
        raise FitError(msg)
    few = too_few_pictures(config, len(names))
    if few is not None:
        raise FitError(few)
    if classes and sizes.min() < _FEWEST_OF_A_CLASS:
        rarest = str(names[sizes.argmin()])
        msg = f"only {sizes.min()} trials of class {rarest!r}: at least {_FEWEST_OF_A_CLASS} are needed"
        raise FitError(msg)
    _check_unit(trials, config)
    if grouping(config) == "recording":
        _check_recordings(trials, config)
    check_channels(trials)


def _check_unit(trials: Trials, config: Config) -> None:
    """Refuse signals that no electrode can have, in whatever unit they were read."""
    limit, swing = config.artefacts.flat_uv, np.ptp(trials.samples, axis=1)
    usual = float(np.median(swing))
    if limit is not None and float(swing.max()) <= limit:
        msg = (
            f"no electrode swings by more than {float(swing.max()):.2g} microvolts in any trial: they have no contact, "
            "or stream.unit is not the unit of the samples"
        )
        raise FitError(msg)
    if usual > _UNREAL_UV:
        logger.warning(
            "electrodes swing by %.2g microvolts in the median trial, more than an EEG does: is stream.unit the unit "
            "of the samples?",
            usual,
        )


def _check_recordings(trials: Trials, config: Config) -> None:
    """Refuse recordings of which none can be held out: each, or all but one, shows one class alone."""
    recordings = np.unique(trials.recordings)
    if len(recordings) < 2:
        return
    what = "class" if config.markers.classes else "picture"
    if all(len(np.unique(trials.names[trials.recordings == each])) < 2 for each in recordings):
        msg = (
            f"each recording shows one {what} alone: whatever differs between recordings would pass for what differs "
            f"between them; mix them within a recording, or give one that has both"
        )
        raise FitError(msg)
    folds = grouped_folds(trials.recordings, config.fit.folds, config.fit.seed)
    for fold in np.unique(folds):
        left = np.unique(trials.names[folds != fold])
        if len(left) < 2:
            held_out = ", ".join(str(each + 1) for each in np.unique(trials.recordings[folds == fold]))
            msg = (
                f"without recording {held_out}, held out to be scored, all others show {str(left[0])!r} alone: "
                f"leave those out that show one {what}, or add some that show more"
            )
            raise FitError(msg)


def too_few_pictures(config: Config, n_pictures: int) -> str | None:
    """Return what is wrong with so few pictures, and what to do; None where they are enough."""
    if grouping(config) == "recording" or n_pictures >= FEWEST_PICTURES:
        return None
    return (
        f"{n_pictures} pictures are too few to be told apart by maps that learned others: show at least "
        f"{FEWEST_PICTURES}, or set fit.group_by: recording, which tells apart pictures that were learned"
    )


def enough_a_fold(config: Config, n_pictures: int) -> Config:
    """Return the settings with so few folds that each holds two pictures: one alone is told apart from nothing."""
    most = max(n_pictures // 2, 2)
    if grouping(config) == "recording" or config.fit.folds <= most:
        return config
    return config.model_copy(update={"fit": config.fit.model_copy(update={"folds": most})})
