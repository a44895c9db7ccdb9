"""Electrodes by name: where they sit on the head, which mirror each other, and small pictures of values over them."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_ROWS_DEG = {
    "FP": 72, "AF": 54, "F": 36, "FT": 18, "FC": 18, "T": 0, "C": 0,
    "TP": -18, "CP": -18, "P": -36, "PO": -54, "O": -72, "I": -90,
}  # fmt: skip
"""Degrees in front of Cz at which each row crosses the midline; its end on the ring is turned by as much."""
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "M1": "TP9", "M2": "TP10", "A1": "T9", "A2": "T10"}
_RENAMED = {old: _OLD_NAMES[old] for old in ("T3", "T4", "T5", "T6")}
"""Electrodes that only their names tell apart."""
_NAME = re.compile(r"(FP|AF|FT|FC|F|TP|T|CP|C|PO|P|O|I)(Z|10|[1-9])")
_CAP = (
    "Fp1 Fpz Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 "
    "T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 "
    "PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz"
)
CHANNELS_64 = tuple(_CAP.split())
"""64 positions of the extended 10-20 (10-10) system, front to back and left to right."""

MONTAGES = ("colin27_1005", "standard_1005")  # The newer MNE name first; the older one is on its way out.
_LEGENDRE = 50
_CONSTANT = 10.0
"""Variance of the splines' constant, hundreds of times the kernel's."""
_SMOOTHING = 1e-5
"""What is added to the kernel's diagonal, so that electrodes close together do not make it singular."""
_RING = 0.8
_BELOW_RING = 1.17


def electrode_position(name: str) -> tuple[float, float] | None:
    """Return where electrode `name` sits: x to the right, y to the front, on a head of radius 1; None if not known.

    The 10-10 system (Chatrian et al. 1985) on a sphere in azimuthal equidistant projection: Cz is the origin, Fpz is at
    y = 0.8, T7 at x = -0.8; electrodes 9 and 10 lie just outside that ring.
    """
    name = name.strip().upper()
    match = _NAME.fullmatch(_OLD_NAMES.get(name, name))
    if match is None:
        return None
    row, column = match.groups()
    midline = _ROWS_DEG[row] / 90
    if column == "Z":
        return 0.0, midline
    number = int(column)
    lateral = (number + 1) // 2  # 1 next to the midline ... 4 on the ring, 5 below it
    if row in ("FP", "O"):
        lateral = max(4, lateral)
    turn = math.radians(90 - _ROWS_DEG[row])
    x = _RING * math.sin(turn) * (-1 if number % 2 else 1)
    y = _RING * math.cos(turn)
    if lateral == 5:
        return x * _BELOW_RING, y * _BELOW_RING
    return x * lateral / 4, midline + (y - midline) * lateral / 4


@cache
def electrode_positions() -> dict[str, tuple[float, float]]:
    """Return where every electrode sits that `electrode_position` knows, by its name in capitals."""
    columns = ("Z", *map(str, range(1, 11)))
    names = [*(row + column for row in _ROWS_DEG for column in columns), *_OLD_NAMES]
    return {name: place for name in names if (place := electrode_position(name)) is not None}


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
    places = _places_1005()
    missing = [name for name in channels if not has_position(name)]
    if missing:
        msg = f"no 10-05 position for channel(s) {', '.join(missing)}: use names such as {', '.join(CHANNELS_64[-5:])}"
        raise ValueError(msg)
    return np.array([places[name.upper()] for name in channels])


def has_position(name: str) -> bool:
    """Return whether the 10-05 system has an electrode `name`, in upper or lower case."""
    return name.upper() in _places_1005()


def standard_position(name: str) -> tuple[float, ...] | None:
    """Return where the 10-05 system has electrode `name`, in metres (right, front, up); None if not known."""
    return _places_1005().get(name.upper())


@cache
def _places_1005() -> dict[str, tuple[float, ...]]:
    return {name.upper(): tuple(place) for name, place in standard_montage().get_positions()["ch_pos"].items()}


def placed(
    channels: Sequence[str], where: Callable[[str], tuple[float, ...] | None]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which channels of a cap have a place, ``[channels]``, and those places ``[placed, axes]``.

    Beside A3 to A32, channels named A1 and A2 only look like earlobes: they are plugs, as BioSemi numbers them. Which
    electrode a plug belongs to depends on the cap, and no name tells it.

    Parameters
    ----------
    channels
        Names of all channels of the cap.
    where
        Returns the place of a name alone; None if not known.

    Examples
    --------
    >>> placed(["A1", "A3", "Fz"], on_sphere)[0].tolist()
    [False, False, True]
    >>> placed(["A1", "Fz"], on_sphere)[0].tolist()
    [True, True]
    """
    numbered = any(re.fullmatch(r"A([3-9]|[12]\d|3[0-2])", name.strip().upper()) for name in channels)
    plugs = ("A1", "A2") if numbered else ()
    places = [None if name.strip().upper() in plugs else where(name) for name in channels]
    known = np.array([place is not None for place in places], dtype=np.bool_)
    return known, np.array([place for place in places if place is not None], dtype=np.float64)


def head_places(channels: Sequence[str]) -> list[tuple[float, float] | None]:
    """Return where each of `channels` sits on a head of radius 1, as `placed` has it; None where that is not known."""
    known, at = placed(channels, electrode_position)
    places = iter(at.tolist())
    return [tuple(next(places)) if each else None for each in known]


def same_place(name: str) -> str:
    """Return the name in capitals by which the 10-10 system calls the place of electrode `name`."""
    capitals = name.strip().upper()
    return _RENAMED.get(capitals, capitals)


def reference_electrodes(reference: str | None) -> tuple[str, ...] | None:
    """Return the electrodes that a reference is the mean of: none for the mean of all, None where it is not known."""
    said = (reference or "").strip().upper().replace("COMMON ", "")
    if said in ("AVERAGE", "AVG", "CAR", "AVERAGE REFERENCE"):
        return ()
    if said in ("LINKED MASTOIDS", "MASTOIDS", "LM"):
        return ("M1", "M2")
    if said in ("LINKED EARS", "LINKED EARLOBES", "LE"):
        return ("A1", "A2")
    names = tuple(part for part in re.split(r"[\s,;+/&-]+", said) if part)
    return names if names and all(electrode_position(name) is not None for name in names) else None


def on_sphere(name: str) -> tuple[float, float, float] | None:
    """Return where electrode `name` sits on a head of radius 1 (right, front, up); None if not known."""
    place = electrode_position(name)
    if place is not None:
        turn = math.hypot(*place)
        side = math.sin(turn * math.pi / 2) / turn if turn else 0.0
        return place[0] * side, place[1] * side, math.cos(turn * math.pi / 2)
    if not has_position(name):
        return None
    offset = positions((name,))[0] - (positions(("T7",))[0] + positions(("T8",))[0]) / 2
    x, y, z = offset / np.linalg.norm(offset)
    return float(x), float(y), float(z)


def spline_covariance(channels: Sequence[str]) -> NDArray[np.float64]:
    """Return a covariance ``[channels, channels]`` by which regression is interpolation by spherical splines.

    Perrin, Pernier, Bertrand & Echallier 1989, "Spherical splines for scalp potential and current density mapping":
    their kernel, of order 4, is a covariance, and the constant that they fit beside it one of very large variance. An
    electrode whose place is not known has nothing in common with others.
    """
    known, at = placed(channels, on_sphere)
    at = at.reshape(-1, 3)
    order = np.arange(1, _LEGENDRE + 1)
    factors = np.concatenate([[0.0], (2 * order + 1) / (order * (order + 1)) ** 4.0]) / (4 * np.pi)
    kernel = np.polynomial.legendre.legval(np.clip(at @ at.T, -1, 1), factors)
    covariance = np.eye(len(channels))
    covariance[np.ix_(known, known)] = kernel + _CONSTANT + _SMOOTHING * np.eye(len(at))
    return covariance


def mirrored(channels: Sequence[str]) -> tuple[list[int], tuple[tuple[str, str], ...]]:
    """Return the order in which left and right have changed places, and the pairs that did.

    An odd number is left and the next even one is its partner; electrodes without a partner stay.
    """
    places = {name.upper(): place for place, name in enumerate(channels)}
    order, pairs = list(range(len(channels))), []
    for name, place in places.items():
        match = re.fullmatch(r"([A-Z]+)(\d+)", name)
        if match is None or int(match[2]) % 2 == 0:
            continue
        partner = places.get(f"{match[1]}{int(match[2]) + 1}")
        if partner is not None:
            order[place], order[partner] = partner, place
            pairs.append((channels[place], channels[partner]))
    return order, tuple(pairs)


def scalp_image(
    channels: tuple[str, ...], values: NDArray[np.floating[Any]], limit: float, side: int
) -> NDArray[np.uint8]:
    """Return a small picture of values over the head, uint8 ``[side, side, 3]``: blue below zero, orange above.

    Between electrodes values are averaged by distance; far from any electrode the colour fades, because nothing is
    known there. Channels without a known position are left out.

    Parameters
    ----------
    channels
        Names of the electrodes.
    values
        ``[channels]``.
    limit
        Value of the full colour.
    side
        Width and height in pixels.
    """
    weights, near, inside = _interpolation(channels, side)
    strength = np.clip(weights @ values / max(limit, 1e-30), -1.0, 1.0) * near
    colours = np.array([(86, 156, 235), (33, 37, 43), (240, 160, 60)], dtype=np.float64)  # told apart by everybody
    ends = np.where(strength[:, None] < 0, colours[0], colours[2])
    pixels = colours[1] + np.abs(strength)[:, None] * (ends - colours[1])
    pixels[~inside] = (18, 20, 23)
    image: NDArray[np.uint8] = pixels.round().astype(np.uint8).reshape(side, side, 3)
    return image


@lru_cache(maxsize=8)
def _interpolation(
    channels: tuple[str, ...], side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return each pixel's weights of the electrodes, how near the nearest is (0 to 1), and which lie on the head."""
    known, at = placed(channels, electrode_position)
    across = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(across, -across)
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = np.hypot(*pixels.T) <= 1
    weights = np.zeros((len(pixels), len(channels)))
    if not len(at):
        return weights, np.zeros(len(pixels)), inside
    apart = np.hypot(*(at[:, None] - at).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    width = float(np.clip(np.median(apart.min(axis=1)), 0.12, 0.35)) if len(at) > 1 else 0.35
    squares = np.sum((pixels[:, None] - at) ** 2, axis=2)
    nearest = squares.min(axis=1, keepdims=True)
    kernel = np.exp(-(squares - nearest) / (2 * (0.7 * width) ** 2))
    weights[:, known] = kernel / kernel.sum(axis=1, keepdims=True)
    return weights, np.exp(-(np.maximum(np.sqrt(nearest[:, 0]) - width, 0.0) ** 2) / (2 * width**2)), inside
