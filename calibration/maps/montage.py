"""Electrodes on the true montage: where they sit, which are neighbours, and which have no known place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.electrodes import placed, standard_montage, standard_position

FEWEST_TO_DRAW = 3
"""Electrodes that span a surface; with fewer there is nothing to interpolate between."""


@dataclass(frozen=True)
class Montage:
    """Electrodes of a stream and their places in the extended 10-20 system.

    Attributes
    ----------
    channels
        All electrodes, in the stream's order.
    placed
        int64 ``[placed]``: which of them have a place.
    """

    channels: tuple[str, ...]
    placed: NDArray[np.int64]

    @classmethod
    def of(cls, channels: Sequence[str]) -> Montage:
        """Return the montage of electrodes by their names, upper or lower case alike."""
        known, _ = placed(channels, standard_position)
        return cls(tuple(channels), np.flatnonzero(known))

    @property
    def cannot_draw(self) -> str | None:
        """One line that says what is missing from the head maps; None where nothing is."""
        missing = [name for place, name in enumerate(self.channels) if place not in self.placed]
        if len(self.placed) < FEWEST_TO_DRAW:
            return (
                f"no head maps: {len(self.placed)} of {len(self.channels)} electrodes have a place in the 10-05 system "
                f"and {FEWEST_TO_DRAW} are needed; time courses and numbers are complete"
            )
        if missing:
            return (
                f"not on the head maps: {', '.join(missing)} (no such name in the 10-05 system); "
                "they are in the time courses and numbers"
            )
        return None

    @property
    def drawable(self) -> bool:
        """Whether there are enough places for a head map."""
        return len(self.placed) >= FEWEST_TO_DRAW

    @cached_property
    def info(self) -> Any:
        """The placed electrodes as an ``mne.Info``."""
        from mne import create_info

        info = create_info([self.channels[place] for place in self.placed], 1.0, "eeg")
        info.set_montage(standard_montage(), match_case=False)
        return info

    @cached_property
    def neighbours(self) -> NDArray[np.bool_]:
        """Whether two electrodes are neighbours, ``[channels, channels]``; one without a place has none but itself."""
        found = np.eye(len(self.channels), dtype=np.bool_)
        if self.drawable:
            from mne import use_log_level
            from mne.channels import find_ch_adjacency

            with use_log_level("ERROR"):
                adjacency, _ = find_ch_adjacency(self.info, "eeg")
            found[np.ix_(self.placed, self.placed)] |= adjacency.toarray().astype(np.bool_)
        return found
