"""How much a percept may be believed: repeats add up, and the margin becomes a probability."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.gallery import Gallery, Neighbour

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ConfidenceModel:
    """Probability that the nearest picture is the right one: logistic in the margin and in the number of repeats.

    Fitted on out-of-fold calibration predictions (Platt scaling; Platt 1999).
    """

    intercept: float
    margin: float
    log_repeats: float

    def probability(self, margin: float, repeats: int) -> float:
        """Return the probability for a `margin` (best similarity minus the mean of the others) after `repeats`."""
        score = self.intercept + self.margin * margin + self.log_repeats * math.log(repeats)
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, score))))


@dataclass(frozen=True)
class Percept:
    """What the decoder says about one trial.

    Attributes
    ----------
    trial
        Number of the stimulus.
    picture
        What was shown, where it is known.
    embedding
        float32 ``[dims]``: the mean over the repeats so far.
    repeats
        How many trials stand behind it.
    confidence
        Probability that the nearest picture is the right one; None where the bundle has no confidence model.
    neighbours
        Nearest pictures, nearest first.
    flags
        Doubts about the epoch, such as ``"peak-to-peak"``.
    ledger
        LSL clock time of every stage, in seconds.
    """

    trial: int
    picture: str | None
    embedding: NDArray[np.float32]
    repeats: int
    confidence: float | None
    neighbours: tuple[Neighbour, ...]
    flags: tuple[str, ...] = ()
    ledger: dict[str, float] = field(default_factory=dict)


def margin(similarities: NDArray[np.floating[Any]]) -> float:
    """Return the best similarity minus the mean of the others; 0 for a gallery of one."""
    if len(similarities) < 2:
        return 0.0
    best = int(similarities.argmax())
    return float(similarities[best] - (similarities.sum() - similarities[best]) / (len(similarities) - 1))


class Evidence:
    """Adds up the repeats of each picture.

    Parameters
    ----------
    gallery
        Pictures that can be the answer.
    confidence
        How a margin becomes a probability; None where that was not calibrated.
    neighbours
        How many nearest pictures a percept names.
    accumulate
        Whether repeats add up; otherwise every trial stands alone.
    """

    def __init__(
        self, gallery: Gallery, confidence: ConfidenceModel | None, neighbours: int = 5, accumulate: bool = True
    ) -> None:
        self._gallery = gallery
        self._confidence = confidence
        self._neighbours = neighbours
        self._accumulate = accumulate
        self._sums: dict[str, tuple[NDArray[np.float64], int]] = {}

    def add(
        self,
        trial: int,
        picture: str | None,
        embedding: NDArray[np.float32],
        flags: tuple[str, ...] = (),
        ledger: dict[str, float] | None = None,
    ) -> Percept:
        """Add one trial's embedding ``[dims]`` and return what is now believed about its picture."""
        mean, repeats = embedding, 1
        if picture is not None and self._accumulate:
            total, count = self._sums.get(picture, (np.zeros(len(embedding)), 0))
            self._sums[picture] = (total + embedding, count + 1)
            repeats = count + 1
            mean = ((total + embedding) / repeats).astype(np.float32)
        return Percept(
            trial,
            picture,
            mean,
            repeats,
            self.confidence(mean, repeats),
            self._gallery.rank(mean, self._neighbours),
            flags,
            ledger if ledger is not None else {},
        )

    def retract(self, picture: str | None, embedding: NDArray[np.float32]) -> None:
        """Take back one trial's embedding that was added before and turned out to be wrong."""
        if picture in self._sums:
            total, count = self._sums[picture]
            if count == 1:
                del self._sums[picture]
            else:
                self._sums[picture] = (total - embedding, count - 1)

    def confidence(self, embedding: NDArray[np.float32], repeats: int) -> float | None:
        """Return the probability that the picture nearest to `embedding` is the right one."""
        if self._confidence is None:
            return None
        return self._confidence.probability(margin(self._gallery.similarities(embedding)), repeats)
