"""Where and when the information is: the same cross-validation on one stretch of time, or on one electrode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from calibration.model.examples import Examples, Layout
from calibration.model.folding import subtract_baseline
from calibration.model.linear_model import cross_validate
from calibration.scores.summary import main_score
from configs.schema import FitSettings
from realtime.decoding.gallery import Gallery

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PartialScore:
    """The score of a part of the window, with its 95 % interval."""

    name: str
    at: float
    score: float
    low: float
    high: float


def by_time(
    examples: Examples,
    layout: Layout,
    times_s: np.ndarray[tuple[int], np.dtype[np.float64]],
    settings: FitSettings,
    gallery: Gallery,
    width_s: float = 0.1,
    progress: Progress | None = None,
) -> list[PartialScore]:
    """Return the scores of maps that see only `width_s` of the window; `at` is the middle of each stretch.

    Parameters
    ----------
    examples
        Trials with their targets and groups.
    layout
        Where window and baseline lie in an epoch.
    times_s
        ``[times]``: when each sample of an epoch was taken, in seconds after onset.
    settings
        Alphas, folds and seed of the cross-validation.
    gallery
        The pictures or classes to tell apart.
    width_s
        Length of a stretch; longer ones hold more information and say less of when it was there.
    progress
        Called before each stretch with how many are done and of how many.
    """
    examples, times_s = _windowed(examples, layout), times_s[layout.start :]
    rate_hz = 1 / (times_s[1] - times_s[0])
    width = min(max(2, round(width_s * rate_hz)), len(times_s))
    starts = range(0, len(times_s) - width + 1, width)
    parts = []
    for done, start in enumerate(starts):
        if progress is not None:
            progress(done, len(starts))
        stretch = replace(examples, samples=examples.samples[:, start : start + width])
        begin = float(times_s[start])
        parts += _score(stretch, settings, gallery, f"{1e3 * begin:.0f} ms", begin + width / rate_hz / 2)
    return parts


def by_channel(
    examples: Examples,
    layout: Layout,
    channels: tuple[str, ...],
    settings: FitSettings,
    gallery: Gallery,
    progress: Progress | None = None,
) -> list[PartialScore]:
    """Return the scores of maps that see only one electrode.

    Parameters
    ----------
    examples
        Trials with their targets and groups.
    layout
        Where window and baseline lie in an epoch.
    channels
        Names of the electrodes, in the order of the samples.
    settings
        Alphas, folds and seed of the cross-validation.
    gallery
        The pictures or classes to tell apart.
    progress
        Called before each electrode with how many are done and of how many.
    """
    examples = _windowed(examples, layout)
    parts = []
    for place, name in enumerate(channels):
        if progress is not None:
            progress(place, len(channels))
        one = replace(examples, samples=examples.samples[:, :, place : place + 1])
        parts += _score(one, settings, gallery, name, float(place))
    return parts


def _windowed(examples: Examples, layout: Layout) -> Examples:
    return replace(examples, samples=subtract_baseline(examples.samples, layout.baseline, layout.start))


def _score(examples: Examples, settings: FitSettings, gallery: Gallery, name: str, at: float) -> list[PartialScore]:
    whole = Layout(0, np.zeros(examples.samples.shape[1]))
    # Parts are compared with one another: alpha by its error is enough, and far quicker.
    held_out = cross_validate(examples, whole, settings.model_copy(update={"choose": "error"}))
    found = main_score(held_out.predicted, examples.names, held_out.folds, gallery, settings.seed)
    return [] if found is None else [PartialScore(name, at, *found)]
