"""How much a percept may be believed: repeats add up, and every candidate gets a probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.decoding.gallery import Gallery, Neighbour
from realtime.decoding.identification_head import Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.early_answers import EarlyAnswer


@dataclass(frozen=True)
class ConfidenceModel:
    """The probability of each candidate, as a softmax of how far the embedding reaches towards it.

    A conditional logit (McFadden 1974) fitted on out-of-fold calibration predictions. Its probabilities refer to the
    candidates at hand, few or many, and fall to one in their number where the map knows nothing.

    Attributes
    ----------
    gain
        Logarithm of the odds per unit of projection, of a single trial.
    shared
        Share of a trial's error that all repeats of a picture have in common: 0 where they err independently, 1 where
        repeats teach nothing.
    length
        Usual length of a single trial's embedding; longer ones are unusual trials, and count for less.
    """

    gain: float
    shared: float
    length: float

    def posterior(self, projections: NDArray[np.floating[Any]], repeats: float) -> NDArray[np.float64]:
        """Return the probability of each candidate.

        Parameters
        ----------
        projections
            ``[candidates]``, the reach of a `realtime.decoding.gallery.Comparison`.
        repeats
            How many trials stand behind the embedding; a fraction where they were weighted, less than 1 where one
            has only begun.

        Returns
        -------
        ``[candidates]``; they sum to 1.
        """
        certainty = repeats / (1 + max(repeats - 1, 0.0) * self.shared)
        logits = self.gain * certainty * np.asarray(projections, dtype=np.float64)
        odds = np.exp(logits - logits.max())
        result: NDArray[np.float64] = odds / odds.sum()
        return result

    def weight(self, length: float) -> float:
        """Return how much a trial counts, at most 1: the inverse variance of one whose noise explains its length."""
        return 1.0 if length <= self.length else (self.length / length) ** 2


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
        float32 ``[dims]``: the mean over the repeats so far, weighted by how usual each was.
    repeats
        How many trials stand behind it.
    confidence
        Probability that the nearest picture is the right one; None where the bundle has no confidence model.
    neighbours
        Nearest pictures, nearest first.
    flags
        Doubts about the epoch, such as ``"peak-to-peak"``.
    ledger
        LSL clock time of every stage until the percept was told, in seconds; later ones come with the pictures.
    weight
        How much this trial counts among its repeats, at most 1.
    decided
        Whether the confidence is high enough to stop repeating.
    two_way
        Share of the other candidates that are less like the embedding than what was shown; None where that is unknown.
    pre_stimulus_two_way
        Share of the other candidates less like what the pre-stimulus windows decode to: it must be at chance, 0.5.
    low_level
        float32 ``[rank]``: the low-level map's coordinates, weighted like the embedding; None without such a map.
    identification
        float32: the output by which pictures are told apart, weighted likewise; None where that is the embedding.
    at_s
        Time in seconds after onset until which the window was read, of an answer before its end; None for all of it.

    Examples
    --------
    >>> nearest = Neighbour("cat-1", "cat", similarity=0.6)
    >>> percept = Percept(0, "cat-1", np.zeros(4, np.float32), repeats=2, confidence=0.8, neighbours=(nearest,))
    >>> percept.neighbours[0].label, percept.decided
    ('cat', False)
    """

    trial: int
    picture: str | None
    embedding: NDArray[np.float32]
    repeats: int
    confidence: float | None
    neighbours: tuple[Neighbour, ...]
    flags: tuple[str, ...] = ()
    ledger: Mapping[str, float] = field(default_factory=dict)
    weight: float = 1.0
    decided: bool = False
    two_way: float | None = None
    pre_stimulus_two_way: float | None = None
    low_level: NDArray[np.float32] | None = None
    identification: NDArray[np.float32] | None = None
    at_s: float | None = None

    @property
    def compared(self) -> NDArray[np.float32]:
        """What the candidates are compared with."""
        return self.embedding if self.identification is None else self.identification


@dataclass
class _Sum:
    """What the repeats of one picture have come to; as large after an hour as at the start."""

    total: NDArray[np.float64]
    repeats: int = 0
    weight: float = 0.0
    squared: float = 0.0
    unseen: float = 0.0

    def add(self, embedding: NDArray[np.float32], weight: float, share: float) -> None:
        self._move(1, embedding, weight * share, share)

    def take_back(self, embedding: NDArray[np.float32], weight: float, share: float) -> None:
        self._move(-1, embedding, weight * share, share)

    def _move(self, sign: int, embedding: NDArray[np.float32], weight: float, share: float) -> None:
        self.total = self.total + sign * weight * embedding
        self.repeats += sign
        self.weight += sign * weight
        self.squared += sign * weight * weight
        self.unseen += sign * (1 - share)

    @property
    def mean(self) -> NDArray[np.float32]:
        return (self.total / self.weight).astype(np.float32)

    @property
    def effective(self) -> float:
        """How many whole trials of equal weight would have the same variance (Kish 1965)."""
        return self.weight**2 / self.squared - self.unseen


class PictureEvidence:
    """Adds up the repeats of each picture.

    Parameters
    ----------
    gallery
        Pictures that can be the answer.
    confidence
        Gives each a probability; None where that was not calibrated.
    neighbours
        How many nearest pictures a percept names.
    accumulate
        Whether repeats add up; otherwise every trial stands alone.
    decide_above
        Confidence from which a percept counts as decided.
    columns
        What else than what is compared with the gallery is added up; nothing when left out.
    """

    def __init__(
        self,
        gallery: Gallery,
        confidence: ConfidenceModel | None,
        neighbours: int = 5,
        accumulate: bool = True,
        decide_above: float = 0.9,
        columns: Columns | None = None,
    ) -> None:
        self._gallery = gallery
        self._confidence = confidence
        self._neighbours = neighbours
        self._accumulate = accumulate
        self._decide_above = decide_above
        self._columns = columns or Columns(gallery.embeddings.shape[1])
        self._sums: dict[str, _Sum] = {}

    def add(
        self,
        trial: int,
        picture: str | None,
        embedding: NDArray[np.float32],
        flags: tuple[str, ...] = (),
        ledger: Mapping[str, float] | None = None,
        target: str | None = None,
        early: EarlyAnswer | None = None,
    ) -> Percept:
        """Add one trial's embedding and return what is now believed about its picture.

        An answer before the window's end is kept only where it is decided, and with it the window over.

        Parameters
        ----------
        trial
            Number of the trial; it only names the percept.
        picture
            The picture shown, where it is known: repeats of it add up.
        embedding
            ``[dims]``, with the low-level map's coordinates and what is compared behind it where there are any.
        flags
            What makes the epoch doubtful, handed on.
        ledger
            The stage times of the trial so far, in seconds, handed on.
        target
            What repeats have in common where the picture is unknown, such as "what the participant imagines now".
        early
            How the window was answered before its end; None where the embedding is of all of it.
        """
        key = picture if picture is not None else target
        weight, share = self._weight(embedding), 1.0 if early is None else early.share
        whole, repeats, effective = embedding, 1, share
        added = None
        if key is not None and self._accumulate:
            added = replace(self._sums[key]) if key in self._sums else _Sum(np.zeros(len(embedding)))
            added.add(embedding, weight, share)
            whole, repeats, effective = added.mean, added.repeats, added.effective
        columns = self._columns
        compared = self._gallery.compare(columns.compared(whole))
        confidence = None
        if self._confidence is not None:
            confidence = float(self._confidence.posterior(compared.reach, effective).max())
        decided = confidence is not None and confidence >= self._decide_above
        if key is not None and added is not None and (early is None or decided):
            self._sums[key] = added
        return Percept(
            trial,
            picture,
            columns.painted(whole),
            repeats,
            confidence,
            compared.rank(self._neighbours),
            flags,
            ledger if ledger is not None else {},
            weight,
            decided,
            compared.two_way(picture),
            low_level=columns.layout(whole) if columns.low_level else None,
            identification=columns.compared(whole) if columns.identification else None,
            at_s=None if early is None else early.at_s,
        )

    def retract(self, key: str | None, embedding: NDArray[np.float32], share: float = 1.0) -> None:
        """Take back one embedding that turned out to be wrong.

        Parameters
        ----------
        key
            The picture or target that it was added under.
        embedding
            As it was added.
        share
            What it was worth, see `realtime.decoding.early_answers.EarlyAnswer`.
        """
        if key in self._sums:
            kept = self._sums[key]
            kept.take_back(embedding, self._weight(embedding), share)
            if not kept.repeats:
                del self._sums[key]

    def _weight(self, embedding: NDArray[np.float32]) -> float:
        if self._confidence is None:
            return 1.0
        return self._confidence.weight(self._gallery.length(self._columns.compared(embedding)))
