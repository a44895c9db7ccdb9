"""Smooth scalp topographies over the electrodes of a simulated head."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from realtime.electrodes import CHANNELS_64, positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def directions(channels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return unit vectors from the middle of the head to the electrodes, ``[channels, 3]``."""
    places = positions(channels) - _middle()
    unit: NDArray[np.float64] = places / np.linalg.norm(places, axis=1, keepdims=True)
    return unit


def topography(channels: tuple[str, ...], poles: Sequence[tuple[str, float]], width_rad: float) -> NDArray[np.float64]:
    """Return a sum of signed Gaussians around electrodes, ``[channels]``, scaled to a peak of one on the full cap.

    Parameters
    ----------
    channels
        Electrodes to compute it at.
    poles
        Electrode and sign or weight of each Gaussian.
    width_rad
        Standard deviation of the Gaussians, as an angle seen from the head's middle.
    """
    centres = directions(tuple(name for name, _ in poles))
    signs = np.array([sign for _, sign in poles])
    # Scaled on the full cap, so that a few electrodes see what they would see as part of it.
    peak = np.abs(spread(directions(CHANNELS_64), centres, width_rad) @ signs).max()
    scaled: NDArray[np.float64] = spread(directions(channels), centres, width_rad) @ signs / peak
    return scaled


def spread(to: NDArray[np.float64], of: NDArray[np.float64], width_rad: float) -> NDArray[np.float64]:
    """Return ``exp(-angle² / (2 width²))`` between two sets of unit vectors, ``[to, of]``.

    Parameters
    ----------
    to, of
        Unit vectors ``[n, 3]`` and ``[m, 3]``.
    width_rad
        Standard deviation, as an angle; wider reaches further.
    """
    angle = np.arccos(np.clip(to @ of.T, -1.0, 1.0))
    field: NDArray[np.float64] = np.exp(-(angle**2) / (2 * width_rad**2))
    return field


@cache
def _middle() -> NDArray[np.float64]:
    """Return the centre of the sphere that fits the full cap best, by least squares."""
    places = positions(CHANNELS_64)
    system = np.c_[2 * places, np.ones(len(places))]
    middle: NDArray[np.float64] = np.linalg.lstsq(system, (places**2).sum(1), rcond=None)[0][:3]
    return middle
