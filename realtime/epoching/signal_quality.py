"""How good each electrode's signal is, from the window of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import ArtefactSettings

WORST = 1.5
"""Swing, as a multiple of the limit, from which an electrode's quality is 0."""


def signal_quality(
    samples: NDArray[np.floating[Any]], channels: Sequence[str], settings: ArtefactSettings
) -> dict[str, float | None]:
    """Return for each channel a quality from 0 (bad) to 1 (good); None where the settings give no limit.

    A flat channel has quality 0. Otherwise quality falls from 1 at half the peak-to-peak limit, over 0.5 at the limit,
    to 0 at one and a half times the limit.

    Parameters
    ----------
    samples
        ``[times, channels]`` in microvolts.
    channels
        Names of the columns.
    settings
        The limits that also mark an epoch as doubtful.
    """
    span = np.ptp(samples, axis=0)
    if settings.peak_to_peak_uv is None:
        quality: list[float | None] = [None] * len(span)
    else:
        quality = list(np.clip(WORST - span / settings.peak_to_peak_uv, 0.0, 1.0).astype(float))
    if settings.flat_uv is not None:
        quality = [0.0 if flat else value for value, flat in zip(quality, span < settings.flat_uv, strict=True)]
    return dict(zip(channels, quality, strict=True))


def artefact_flags(
    samples: NDArray[np.float32],
    artefacts: ArtefactSettings,
    channels: Sequence[str] = (),
    without: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what makes an epoch doubtful: each channel that swings too far or not at all.

    Parameters
    ----------
    samples
        ``[times, channels]``, µV after the filters.
    artefacts
        The limits, peak to peak in µV; a higher upper one lets more pass.
    channels
        Names for the flags; numbers where left out.
    without
        Channels that are not in the map, and so make nothing doubtful.
    """
    span = np.ptp(samples, axis=0)
    high, low = artefacts.peak_to_peak_uv, artefacts.flat_uv
    wrong = [("peak-to-peak", span > high)] if high is not None else []
    wrong += [("flat", span < low)] if low is not None else []
    found = [(what, channels[place] if channels else str(place)) for what, is_so in wrong for place in _true(is_so)]
    return tuple(f"{what} {name}" for what, name in found if name not in without)


def _true(values: NDArray[np.bool_]) -> list[int]:
    places: list[int] = np.flatnonzero(values).tolist()
    return places
