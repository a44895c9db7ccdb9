"""The identification head: a second output of the product, that learned nothing but to tell pictures apart.

The embedding is what a generator paints from; which picture was seen is told better by an output of its own. Its
columns are summed by the same decoder, behind the embedding's. What is left for the end is a residual, where one was
fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime.decoding.gallery import Gallery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.bundle_record import IdentificationRecord

IDENTIFICATION_FILE = "identification.safetensors"
_VARIANCE_FLOOR = 1e-12


@dataclass(frozen=True)
class Columns:
    """The outputs that one product is made of, in this order.

    Attributes
    ----------
    embedding
        How many columns the embedding has that is painted.
    low_level
        How many the low-level map has; 0 without one.
    identification
        How many the output has by which pictures are told apart; 0 where that is the embedding.

    Examples
    --------
    >>> Columns(embedding=2, low_level=1, identification=2).compared(np.arange(5.0))
    array([3., 4.])
    >>> Columns(embedding=2).compared(np.arange(2.0))
    array([0., 1.])
    """

    embedding: int
    low_level: int = 0
    identification: int = 0

    def painted(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the embedding, a view of a whole product ``[columns]``."""
        return whole[: self.embedding]

    def layout(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the low-level map's coordinates, a view."""
        return whole[self.embedding : self.embedding + self.low_level]

    def compared(self, whole: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is compared with the candidates, a view."""
        return whole[self.embedding + self.low_level :] if self.identification else self.painted(whole)


@dataclass(frozen=True, eq=False)
class Residual:
    """A network of one hidden layer that corrects a finished sum, added to it.

    The sum is standardised over its dimensions first (layer normalisation), whose gain, offset and centring are folded
    into the hidden layer.

    Attributes
    ----------
    hidden, hidden_bias
        float32 ``[dims, units]``, whose columns sum to zero, and ``[units]``.
    output, output_bias
        float32 ``[units, dims]`` and ``[dims]``.
    """

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    output: NDArray[np.float32]
    output_bias: NDArray[np.float32]

    def read_ahead(self) -> None:
        """Bring weights and code into the cache, while nothing is due."""
        self(self.output_bias)

    def __call__(self, summed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return finished sums ``[..., dims]`` corrected."""
        per_dim = np.float32(1 / summed.shape[-1])
        mean = np.add.reduce(summed, axis=-1, keepdims=True) * per_dim
        power = np.vecdot(summed, summed)[..., None] * per_dim
        units = np.matmul(summed, self.hidden)
        units /= np.sqrt(power - mean * mean + _VARIANCE_FLOOR)
        units += self.hidden_bias
        np.maximum(units, 0.0, out=units)
        corrected: NDArray[np.float32] = np.matmul(units, self.output)
        corrected += summed
        corrected += self.output_bias
        return corrected


@dataclass(frozen=True, eq=False)
class IdentificationHead:
    """What the second output is, and what it is compared with.

    Attributes
    ----------
    weights, bias
        float32 ``[times, channels, dims]`` and ``[dims]``.
    gallery
        The bundle's pictures as this output would show them.
    targets
        What it learned from, for people.
    residual
        Corrects the finished sum; None where the map is all.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    gallery: Gallery
    targets: str
    residual: Residual | None = None

    @property
    def dims(self) -> int:
        """Number of columns."""
        return len(self.bias)

    def finish(self, summed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what is compared, of finished sums ``[..., dims]``."""
        return summed if self.residual is None else self.residual(summed)

    def only(self, names: set[str]) -> IdentificationHead:
        """Return the head with some of the pictures alone."""
        return replace(self, gallery=self.gallery.only(names))

    def record(self) -> dict[str, Any]:
        """Return what ``bundle.json`` says of it."""
        units = 0 if self.residual is None else len(self.residual.hidden_bias)
        return {"dims": self.dims, "units": units, "targets": self.targets}

    def write(self, folder: Path) -> None:
        """Write the arrays beside the bundle's; names and labels are those of the bundle's gallery."""
        from safetensors.numpy import save_file

        gallery = self.gallery
        arrays = {"weights": self.weights, "bias": self.bias}
        arrays |= {"embeddings": gallery.embeddings, "mean": gallery.mean, "std": gallery.std}
        if self.residual is not None:
            arrays |= {field.name: getattr(self.residual, field.name) for field in fields(Residual)}
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / IDENTIFICATION_FILE)


def read_identification(
    folder: Path, told: IdentificationRecord, times: int, channels: int, gallery: Gallery
) -> IdentificationHead:
    """Return the identification head of a bundle.

    Parameters
    ----------
    folder
        The bundle's.
    told
        What ``bundle.json`` says of it.
    times, channels
        Size of the window.
    gallery
        The bundle's pictures.

    Raises
    ------
    ValueError
        In one line, if an array is missing, damaged or of another shape.
    """
    from realtime.decoding.bundle_record import read_arrays

    dims, units = told.dims, told.units
    shapes: dict[str, tuple[int | None, ...]] = {
        "weights": (times, channels, dims),
        "bias": (dims,),
        "embeddings": (len(gallery.names), dims),
        "mean": (dims,),
        "std": (dims,),
    }
    if units:
        shapes |= {"hidden": (dims, units), "hidden_bias": (units,), "output": (units, dims), "output_bias": (dims,)}
    arrays = read_arrays(folder / IDENTIFICATION_FILE, shapes)
    embeddings, mean, std = (arrays.pop(name) for name in ("embeddings", "mean", "std"))
    compared = replace(gallery, embeddings=embeddings, mean=mean, std=std, likelihood=None)
    weights, bias = arrays.pop("weights"), arrays.pop("bias")
    return IdentificationHead(weights, bias, compared, told.targets, Residual(**arrays) if units else None)
