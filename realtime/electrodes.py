"""Where the electrodes of the 10-10 system sit on a head seen from above, and small pictures of values over it."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS_DEG = {
    "FP": 72, "AF": 54, "F": 36, "FT": 18, "FC": 18, "T": 0, "C": 0,
    "TP": -18, "CP": -18, "P": -36, "PO": -54, "O": -72, "I": -90,
}  # fmt: skip
"""How far in front of Cz each row crosses the midline; its end on the ring of electrodes is turned by as much."""
_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "M1": "TP9", "M2": "TP10", "A1": "T9", "A2": "T10"}
_NAME = re.compile(r"(FP|AF|FT|FC|F|TP|T|CP|C|PO|P|O|I)(Z|10|[1-9])")
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
    import numpy as np

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
    import numpy as np

    places = [electrode_position(name) for name in channels]
    known = np.array([place is not None for place in places], dtype=np.bool_)
    at = np.array([place for place in places if place is not None], dtype=np.float64).reshape(-1, 2)
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
