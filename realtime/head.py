"""Where the electrodes of the 10-10 system sit on a head seen from above, computed from their names."""

from __future__ import annotations

import math
import re

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
