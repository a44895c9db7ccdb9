"""Where the simulated electrodes sit, and smooth scalp topographies over them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NAMES = (
    "Fp1 Fpz Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 "
    "T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 "
    "PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz"
)
CHANNELS_64 = tuple(_NAMES.split())
"""64 positions of the extended 10-20 (10-10) system, front to back and left to right."""

MONTAGES = ("colin27_1005", "standard_1005")  # The newer MNE name first; the older one is on its way out.


@cache
def standard_montage() -> Any:
    """Return the 10-05 system as an ``mne.channels.DigMontage``."""
    from mne.channels import get_builtin_montages, make_standard_montage

    known = get_builtin_montages()
    return make_standard_montage(next(name for name in MONTAGES if name in known))


@cache
def positions(channels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return electrode positions in metres, ``[channels, 3]`` (right, front, up).

    Raises
    ------
    ValueError
        If a name is not in the 10-05 system.
    """
    places = {name.upper(): place for name, place in standard_montage().get_positions()["ch_pos"].items()}
    missing = [name for name in channels if name.upper() not in places]
    if missing:
        msg = f"no 10-05 position for channel(s) {', '.join(missing)}: use names such as {', '.join(CHANNELS_64[-5:])}"
        raise ValueError(msg)
    return np.array([places[name.upper()] for name in channels])


def directions(channels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return unit vectors from the middle of the head to the electrodes, ``[channels, 3]``."""
    places = positions(channels) - _middle()
    unit: NDArray[np.float64] = places / np.linalg.norm(places, axis=1, keepdims=True)
    return unit


def topography(channels: tuple[str, ...], poles: Sequence[tuple[str, float]], width_rad: float) -> NDArray[np.float64]:
    """Return a sum of signed Gaussians around electrodes, ``[channels]``, scaled to a peak of one on the full cap."""
    centres = directions(tuple(name for name, _ in poles))
    signs = np.array([sign for _, sign in poles])
    # Scaled on the full cap, so that a few electrodes see what they would see as part of it.
    peak = np.abs(spread(directions(CHANNELS_64), centres, width_rad) @ signs).max()
    scaled: NDArray[np.float64] = spread(directions(channels), centres, width_rad) @ signs / peak
    return scaled


def spread(to: NDArray[np.float64], of: NDArray[np.float64], width_rad: float) -> NDArray[np.float64]:
    """Return ``exp(-angle² / (2 width²))`` between two sets of unit vectors, ``[to, of]``."""
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
