"""Events in a trigger channel, whose codes come as pulses or stay until the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORT = 0.5
"""Share of the time between pulses that a pulse may last; held codes last longer."""


def read_triggers(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return the row and code of each event in `values` ``[n]``: every change but those back to rest.

    A code may be held until the next one, and a change may be a fall. What the channel shows first is no event.
    """
    starts = np.flatnonzero(np.diff(values)) + 1
    rest = resting_value(values)
    return [(row, code) for row, code in zip(starts.tolist(), values[starts].tolist(), strict=True) if code != rest]


def resting_value(values: NDArray[np.int64]) -> int:
    """Return the value between pulses: 0, or another to which the channel returns from each short pulse.

    Codes that are held last about as long as one another; none of them is a rest.
    """
    starts = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1])
    lengths = np.diff(np.concatenate([starts, [len(values)]]))
    codes = values[starts]
    common, inverse = np.unique(codes, return_inverse=True)
    longest = int(common[np.bincount(inverse, weights=lengths).argmax()])
    resting = codes == longest
    pulses = ~resting[1:-1] & resting[:-2] & resting[2:]
    inner = ~resting[1:-1]
    if not pulses.any() or pulses.sum() < inner.sum() or np.median(codes[1:-1][pulses]) == 0:
        return 0
    short = np.median(lengths[1:-1][pulses]) <= SHORT * np.median(lengths[resting])
    return longest if short else 0
