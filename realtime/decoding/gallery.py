"""Nearest pictures by embedding, with a similarity whose chance level is zero."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.likelihood import Likelihood


def similarity(
    predicted: NDArray[np.floating[Any]],
    gallery: NDArray[np.floating[Any]],
    mean: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
) -> NDArray[np.float32]:
    """Return the cosine between embeddings standardised by a gallery's own mean and spread.

    Image embeddings share a large common part, so a plain cosine is high between any two pictures. With the common part
    removed, unrelated pictures have similarity 0 on average.

    Parameters
    ----------
    predicted
        ``[n, dims]``.
    gallery
        ``[m, dims]``.
    mean, std
        ``[dims]``; dimensions without spread are left out.

    Returns
    -------
    float32 ``[n, m]``, from -1 to 1.
    """
    along = project(predicted, gallery, mean, std)
    length = np.linalg.norm(_standardised(predicted, mean, std), axis=-1, keepdims=True)
    cosine: NDArray[np.float64] = np.divide(along, length, out=np.zeros_like(along), where=length > 0)
    return cosine.astype(np.float32)


def project(
    predicted: NDArray[np.floating[Any]],
    gallery: NDArray[np.floating[Any]],
    mean: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
) -> NDArray[np.float64]:
    """Return how far embeddings reach in the direction of each picture: `similarity` times their length.

    Where errors are alike in all directions this grows in proportion to the logarithm of each picture's likelihood.

    Parameters
    ----------
    predicted
        ``[n, dims]``.
    gallery
        ``[m, dims]``: the embeddings of the pictures.
    mean, std
        ``[dims]``: the scale of both.

    Returns
    -------
    float64 ``[n, m]``, in standard deviations of the gallery.
    """
    along: NDArray[np.float64] = _standardised(predicted, mean, std) @ _unit(_standardised(gallery, mean, std)).T
    return along


def _standardised(
    rows: NDArray[np.floating[Any]], mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return rows without the gallery's mean, in its standard deviations; 0 in dimensions without spread."""
    spread = std > 1e-9 * max(float(std.max()), 1e-30)
    scale = np.divide(1.0, std, out=np.zeros_like(std, dtype=np.float64), where=spread)
    result: NDArray[np.float64] = (rows - mean) * scale
    return result


def _unit(rows: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[np.floating[Any]] = np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
    return unit


@dataclass(frozen=True)
class Neighbour:
    """A picture of the gallery and how near it is (0: unrelated, 1: the same)."""

    name: str
    label: str
    similarity: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """One embedding beside all pictures of a gallery: computed once, whatever is then asked of it.

    Attributes
    ----------
    gallery
        The pictures.
    reach
        float64 ``[pictures]``: how much the embedding speaks for each; see `Gallery.reach`.
    similarities
        float32 ``[pictures]``: the cosine with every picture, from -1 to 1.
    """

    gallery: Gallery
    reach: NDArray[np.float64]
    similarities: NDArray[np.float32]

    def two_way(self, name: str | None) -> float | None:
        """Return the share of the other pictures that the embedding is less like than picture `name`.

        Chance is 0.5, equal likeness counts half. None where the gallery has no such picture, or no other.
        """
        own = self.gallery.numbers.get(name)
        if own is None or len(self.reach) < 2:
            return None
        others = np.delete(self.reach, own)
        return float(np.mean((self.reach[own] > others) + 0.5 * (self.reach[own] == others)))

    def rank(self, count: int) -> tuple[Neighbour, ...]:
        """Return the `count` nearest pictures, nearest first."""
        names, labels, alike = self.gallery.names, self.gallery.labels, self.similarities
        order = np.argsort(-(alike if self.gallery.likelihood is None else self.reach), kind="stable")[:count]
        return tuple(Neighbour(names[i], labels[i], float(alike[i])) for i in order)


@dataclass(frozen=True)
class Gallery:
    """The pictures that an embedding is compared with.

    Attributes
    ----------
    names, labels
        One of each a picture; the label is what the picture shows.
    embeddings
        float32 ``[pictures, dims]``, un-normalised.
    mean, std
        float32 ``[dims]``: of the pictures that the map was calibrated on.
    classes
        Whether each entry is a class of many pictures.
    likelihood
        By what pictures are told apart; None for the angle on the gallery's scale.

    Examples
    --------
    >>> embeddings = np.eye(3, dtype=np.float32)
    >>> names = ("cat-1", "cat-2", "house-1")
    >>> mean, std = embeddings.mean(axis=0), embeddings.std(axis=0)
    >>> gallery = Gallery(names, ("cat", "cat", "house"), embeddings, mean, std)
    >>> [nearest] = gallery.rank(np.array([0.1, 0.0, 0.8]), count=1)
    >>> nearest.label, round(nearest.similarity, 2)
    ('house', 0.99)
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    embeddings: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    classes: bool = False
    likelihood: Likelihood | None = None

    def __post_init__(self) -> None:
        """Refuse tables whose lengths differ."""
        if not len(self.names) == len(self.labels) == len(self.embeddings):
            msg = (
                f"{len(self.names)} names, {len(self.labels)} labels and {len(self.embeddings)} embeddings: must agree"
            )
            raise ValueError(msg)
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            msg = f"the gallery has {twice!r} twice: names must differ"
            raise ValueError(msg)

    def places(self, names: NDArray[np.str_]) -> NDArray[np.int64]:
        """Return the place of each of the names ``[n]``."""
        return np.array([self.numbers[str(name)] for name in names], dtype=np.int64)

    @property
    def told_apart(self) -> bool:
        """Whether the score is how well the entries are told apart, and not which of many pictures was seen."""
        return self.classes or len(self.names) == 2

    def compare(self, embedding: NDArray[np.floating[Any]]) -> Comparison:
        """Return how one embedding ``[dims]`` lies to all pictures."""
        if self.likelihood is None:
            row = _standardised(embedding, self.mean, self.std)
            reach, length = self._directions @ row, float(np.linalg.norm(row))
            alike = reach / length if length > 0 else np.zeros_like(reach)
        else:
            expected, level = self._expected
            row = self.likelihood.whitened(embedding)
            along = expected @ row
            lengths = np.linalg.norm(row) * np.sqrt(-2 * level)
            reach, alike = along + level, np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)
        return Comparison(self, reach, alike.astype(np.float32))

    def reach(self, embeddings: NDArray[np.floating[Any]], among: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much embeddings speak for pictures, proportional to the logarithm of each one's likelihood.

        Without a `likelihood` it is taken from `project`.

        Parameters
        ----------
        embeddings
            ``[n, dims]``.
        among
            ``[m]``: places of the pictures.

        Returns
        -------
        float64 ``[n, m]``.
        """
        if self.likelihood is None:
            return project(embeddings, self.embeddings[among], self.mean, self.std)
        expected, level = self._expected
        reach: NDArray[np.float64] = self.likelihood.whitened(embeddings) @ expected[among].T + level[among]
        return reach

    def similarities(self, embedding: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the similarity ``[pictures]`` of one embedding ``[dims]`` to every picture."""
        return self.compare(embedding).similarities

    def two_way(self, embedding: NDArray[np.floating[Any]], name: str | None) -> float | None:
        """Return `Comparison.two_way` of one embedding ``[dims]``."""
        return self.compare(embedding).two_way(name)

    def rank(self, embedding: NDArray[np.floating[Any]], count: int) -> tuple[Neighbour, ...]:
        """Return `Comparison.rank` of one embedding ``[dims]``."""
        return self.compare(embedding).rank(count)

    def length(self, embedding: NDArray[np.floating[Any]]) -> float:
        """Return the length of one embedding ``[dims]`` in standard deviations of the gallery."""
        return float(np.linalg.norm(_standardised(embedding, self.mean, self.std)))

    @cached_property
    def numbers(self) -> dict[str | None, int]:
        """Each picture's place in the gallery, by its name."""
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def _directions(self) -> NDArray[np.floating[Any]]:
        """The pictures' directions ``[pictures, dims]``: made once, as a session asks after every trial."""
        return _unit(_standardised(self.embeddings, self.mean, self.std))

    @cached_property
    def _expected(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What pictures come to by the likelihood, whitened ``[pictures, rank]``, and minus half its square."""
        if self.likelihood is None:
            msg = "the gallery has no likelihood"
            raise ValueError(msg)
        expected = self.likelihood.expected(self.embeddings)
        return expected, -0.5 * np.einsum("pr,pr->p", expected, expected)

    def only(self, names: set[str]) -> Gallery:
        """Return the gallery reduced to some of its pictures, compared on the same scale.

        Raises
        ------
        ValueError
            If a name is not in the gallery.
        """
        unknown = sorted(names - set(self.names))
        if unknown:
            msg = f"not in the bundle's gallery: {', '.join(unknown[:5])}; fit the bundle with the picture set shown"
            raise ValueError(msg)
        keep = [i for i, name in enumerate(self.names) if name in names]
        return replace(
            self,
            names=tuple(self.names[i] for i in keep),
            labels=tuple(self.labels[i] for i in keep),
            embeddings=self.embeddings[keep],
        )
