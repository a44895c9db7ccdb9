"""What earlier calibrations remember, and how much it counts beside new trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realtime.decoding.alignment import mixing_between, window_covariances
from realtime.decoding.memory import Memory

Array = NDArray[np.float64]

_FEWEST, _ENOUGH = 10, 2000
"""Windows below which nothing is known of how the EEG varies, and above which no more need to be looked at."""


@dataclass(frozen=True)
class Earlier:
    """An earlier calibration as a source.

    Attributes
    ----------
    name
        What people call it: its bundle's folder.
    memory
        What it remembers, its channels in the new trials' order.
    worth
        How many new trials it counts as; 0 for not at all, `Memory.n_trials` for as if they were new ones.
    own
        Whether the EEG may be of the same person as the new trials; another person's has to prove itself.
    """

    name: str
    memory: Memory
    worth: float = 0.0
    own: bool = True

    @property
    def weight(self) -> float:
        """Weight of each of its trials, where a new one has 1."""
        return self.worth / self.memory.n_trials

    def worth_of(self, trials: float) -> Earlier:
        """Return the source counted as that many trials, though never as more than it has."""
        return replace(self, worth=float(min(trials, self.memory.n_trials)))


def aligned(earlier: Sequence[Earlier], windows: NDArray[np.float32]) -> tuple[Earlier, ...]:
    """Return the sources as if their electrodes had varied as these windows do, whatever was shown in them.

    Another head, or the same cap elsewhere, mixes electrodes otherwise: the noise tells how, without a label.

    Parameters
    ----------
    earlier
        What is to be brought to the windows.
    windows
        ``[n, times, channels]`` in microvolts, as the sources remember them; fewer than ten change nothing.
    """
    if not earlier or len(windows) < _FEWEST:
        return tuple(earlier)
    some = windows[:: -(-len(windows) // _ENOUGH)]
    covariances = window_covariances(some, some.mean(axis=0, dtype=np.float64))
    mixings = [np.linalg.inv(mixing_between(covariances, each.memory.window_covariance())[0]) for each in earlier]
    return tuple(replace(each, memory=each.memory.mixed(one)) for each, one in zip(earlier, mixings, strict=True))


def pooled(own: Array, n: int, parts: Sequence[tuple[Earlier, Array]]) -> Array:
    """Return the mean of statistics, each weighted by the trials behind it.

    Parameters
    ----------
    own
        That of the new trials.
    n
        How many they are.
    parts
        Those of the sources.
    """
    if not parts:
        return own
    total = n + sum(earlier.worth for earlier, _ in parts)
    mean: Array = (n * own + sum(earlier.worth * statistic for earlier, statistic in parts)) / total
    return mean


def weighed(earlier: Sequence[Earlier]) -> tuple[Earlier, ...]:
    """Return the sources that count for anything."""
    return tuple(each for each in earlier if each.worth > 0)
