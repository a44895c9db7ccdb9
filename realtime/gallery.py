"""Nearest pictures by embedding, with a similarity whose chance level is zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    scale = np.divide(
        1.0, std, out=np.zeros_like(std, dtype=np.float64), where=std > 1e-9 * max(float(std.max()), 1e-30)
    )
    return (_unit((predicted - mean) * scale) @ _unit((gallery - mean) * scale).T).astype(np.float32)


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
    """

    names: tuple[str, ...]
    labels: tuple[str, ...]
    embeddings: NDArray[np.float32]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse tables whose lengths differ."""
        if not len(self.names) == len(self.labels) == len(self.embeddings):
            msg = (
                f"{len(self.names)} names, {len(self.labels)} labels and {len(self.embeddings)} embeddings: must agree"
            )
            raise ValueError(msg)

    def similarities(self, embedding: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Return the similarity ``[pictures]`` of one embedding ``[dims]`` to every picture."""
        row: NDArray[np.float32] = similarity(embedding[None], self.embeddings, self.mean, self.std)[0]
        return row

    def rank(self, embedding: NDArray[np.floating[Any]], count: int) -> tuple[Neighbour, ...]:
        """Return the `count` nearest pictures to one embedding ``[dims]``, nearest first."""
        scores = self.similarities(embedding)
        order = np.argsort(-scores, kind="stable")[:count]
        return tuple(Neighbour(self.names[i], self.labels[i], float(scores[i])) for i in order)

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
        return Gallery(
            tuple(self.names[i] for i in keep),
            tuple(self.labels[i] for i in keep),
            self.embeddings[keep],
            self.mean,
            self.std,
        )
