"""Pauses that a recording marks by annotations, and the time axis that they leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SKIP = "bad_acq_skip"
"""MNE's name for a stretch of the time axis without samples; what stands there are zeros."""
BOUNDARIES = ("boundary", "bad boundary", "edge boundary")
"""EEGLAB's and MNE's names for the place of a cut."""
SEGMENT = "New Segment/"
"""BrainVision's name for the first sample after a pause."""
COMMENT = "Comment/"


@dataclass(frozen=True)
class Note:
    """An annotation, in seconds from the first sample on, as many samples as there are; `extras` as MNE has them."""

    description: str
    onset: float
    duration: float
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The description in lower case, without BrainVision's word for a comment."""
        return self.description.removeprefix(COMMENT).casefold()

    @property
    def is_pause(self) -> bool:
        """Whether it marks the time axis and nothing that happened."""
        return self.name in (SKIP, *BOUNDARIES) or self.description == SEGMENT

    def moved(self, axis: TimeAxis) -> tuple[str, float, float]:
        """Return description, onset on `axis`, and duration."""
        bad = self.name.startswith("bad")
        return self.description.removeprefix(COMMENT) if bad else self.description, axis.at(self.onset), self.duration


@dataclass(frozen=True)
class Pause:
    """Time without samples.

    Attributes
    ----------
    row
        The first sample after it.
    seconds
        Its length; None where the file does not tell.
    zeros
        How many samples before `row` stand for it.
    """

    row: int
    seconds: float | None = None
    zeros: int = 0


@dataclass(frozen=True)
class TimeAxis:
    """When each sample was taken.

    Attributes
    ----------
    rate_hz
        Sampling rate.
    rows
        int64 ``[n]``: the samples of the file that are samples.
    timestamps
        float64 ``[n]``: their times in seconds.
    pauses
        Places in `rows` before which a pause is marked.
    gaps
        Time in the file at which each pause of known length ends, and that length.
    """

    rate_hz: float
    rows: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    pauses: tuple[int, ...]
    gaps: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, n: int, rate_hz: float, pauses: Iterable[Pause]) -> TimeAxis:
        """Return the axis of samples with pauses between them.

        Parameters
        ----------
        n
            Samples in the file.
        rate_hz
            Sampling rate.
        pauses
            Pauses by the row that follows them; their samples that stand for no data are left out.
        """
        kept = np.ones(n, np.bool_)
        timestamps = np.arange(n) / rate_hz
        gaps = []
        inside = [pause for pause in pauses if 0 < pause.row < n or pause.zeros]
        for pause in inside:
            kept[max(0, pause.row - pause.zeros) : pause.row] = False
            if pause.seconds:
                timestamps[pause.row :] += pause.seconds
                gaps.append((pause.row / rate_hz, pause.seconds))
        rows = np.flatnonzero(kept)
        places = {int(np.searchsorted(rows, pause.row)) for pause in inside} - {0, len(rows)}
        return cls(rate_hz, rows, timestamps[rows], tuple(sorted(places)), tuple(gaps))

    def at(self, seconds: float) -> float:
        """Return the time on the axis of what is `seconds` from the first sample in the file."""
        half = 0.5 / self.rate_hz
        return seconds + sum(length for end, length in self.gaps if seconds >= end - half)


def find_pauses(
    notes: Sequence[Note], segments: Sequence[tuple[int, float | None]], rate_hz: float, boundaries_last: bool
) -> list[Pause]:
    """Return the pauses that a file marks, at most one at a sample.

    Parameters
    ----------
    notes
        The annotations.
    segments
        First row and seconds before it, as BrainVision's markers tell.
    rate_hz
        Sampling rate.
    boundaries_last
        Whether the duration of a boundary is that of what was cut out there, as in EEGLAB.
    """
    found = {row: Pause(row, seconds) for row, seconds in segments}
    for note in notes:
        if note.name == SKIP and note.duration > 0:
            row = round((note.onset + note.duration) * rate_hz)
            found[row] = Pause(row, None, row - round(note.onset * rate_hz))
        elif note.name in BOUNDARIES:
            row = math.ceil(note.onset * rate_hz - 0.01)
            told = boundaries_last and note.duration > 0
            found.setdefault(row, Pause(row, note.duration if told else None))
    return [found[row] for row in sorted(found)]
