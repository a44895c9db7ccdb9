"""How good each electrode's signal is, from the window of a trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from configs.schema import ArtefactSettings


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
        quality = list(np.clip(1.5 - span / settings.peak_to_peak_uv, 0.0, 1.0).astype(float))
    if settings.flat_uv is not None:
        quality = [0.0 if flat else value for value, flat in zip(quality, span < settings.flat_uv, strict=True)]
    return dict(zip(channels, quality, strict=True))
