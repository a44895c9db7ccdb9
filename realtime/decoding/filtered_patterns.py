"""The percept's latent-filtered pattern: what an electrode would show on average for what was decoded, per attribute.

EEG → embedding → attribute → EEG, as the latent-filtered EEG of Fei et al. (arXiv 2404.01250), through the part of the
embedding that tells one attribute and at the moment when the electrodes tell it best. Both maps are fitted with the
bundle; live, two small products are left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.decoding.bundle_record import Attribute

PATTERN_FILE = "patterns.safetensors"
PATTERN_ARRAYS = ("mean", "scale", "readout", "maps")


@dataclass(frozen=True, eq=False)
class HeadPattern:
    """One attribute of a percept, as a pattern over the head.

    Attributes
    ----------
    name, says
        The attribute, and its level that the percept is nearest to.
    latency_s
        Moment after onset that the pattern is of.
    values_uv
        float32 ``[channels]``: difference from the mean of all pictures in microvolts.
    limit_uv
        What counts as strong: 95 % of the calibration's patterns are weaker.
    """

    name: str
    says: str
    latency_s: float
    values_uv: NDArray[np.float32]
    limit_uv: float


@dataclass(frozen=True)
class PatternAttribute:
    """What is known of an attribute.

    Attributes
    ----------
    name, kind, levels
        As in `calibration.maps.attributes.Attribute`.
    columns
        How many columns stand for it.
    latency_s, limit_uv
        See `HeadPattern`.
    r, p
        How well held-out pictures' attribute was read from their decoded embeddings, and against shuffled ones.
    """

    name: str
    kind: Literal["categorical", "continuous", "circular"]
    levels: tuple[str, ...]
    columns: int
    latency_s: float
    limit_uv: float
    r: float
    p: float


@dataclass(frozen=True, eq=False)
class Patterns:
    """From an embedding to one pattern an attribute.

    Attributes
    ----------
    attributes
        Those that the calibration could tell, in the order of their columns.
    mean, scale
        float32 ``[dims]``: embeddings are read as ``(embedding - mean) * scale``.
    readout
        float32 ``[dims, columns]``.
    maps
        float32 ``[columns, channels]``: microvolts for a column's value of one.
    """

    attributes: tuple[PatternAttribute, ...]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    readout: NDArray[np.float32]
    maps: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        columns = sum(attribute.columns for attribute in self.attributes)
        if self.readout.shape != (len(self.mean), columns) or len(self.maps) != columns:
            msg = f"readout {self.readout.shape} and maps {self.maps.shape} do not fit {columns} columns"
            raise ValueError(msg)

    def levels(self, embedding: NDArray[np.float32]) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
        """Yield of each attribute the name, the level that an embedding ``[dims]`` is nearest to, and its values."""
        values = (((embedding - self.mean) * self.scale) @ self.readout).astype(np.float32)
        first = 0
        for attribute in self.attributes:
            own = values[first : first + attribute.columns]
            first += attribute.columns
            yield attribute.name, _nearest_level(attribute, own), own

    def heads(self, embedding: NDArray[np.float32]) -> tuple[HeadPattern, ...]:
        """Return the patterns of one embedding ``[dims]``."""
        heads, first = [], 0
        for attribute, (name, says, values) in zip(self.attributes, self.levels(embedding), strict=True):
            pattern = (values @ self.maps[first : first + attribute.columns]).astype(np.float32)
            first += attribute.columns
            heads.append(HeadPattern(name, says, attribute.latency_s, pattern, attribute.limit_uv))
        return tuple(heads)


def _nearest_level(attribute: PatternAttribute, values: NDArray[np.float32]) -> str:
    """Return the name of the level: the largest column, the nearest of the hues around the circle, or low and high."""
    levels = attribute.levels
    if attribute.kind == "categorical":
        return levels[int(values.argmax())]
    if attribute.kind == "circular":
        turn = np.arctan2(values[1], values[0]) / (2 * np.pi) * len(levels)
        return levels[round(float(turn)) % len(levels)]
    return levels[int(values[0] > 0)]


def read_patterns(file: Path, told: Sequence[Attribute], dims: int, channels: int) -> Patterns:
    """Return what the file of a bundle holds.

    Parameters
    ----------
    file
        The arrays.
    told
        The attributes, as ``bundle.json`` tells them.
    dims, channels
        Size of embeddings, and number of electrodes.

    Raises
    ------
    ValueError
        If it is damaged, in one line.
    """
    from realtime.decoding.bundle_record import read_arrays

    columns = sum(attribute.columns for attribute in told)
    shapes = {"mean": (dims,), "scale": (dims,), "readout": (dims, columns), "maps": (columns, channels)}
    attributes = tuple(PatternAttribute(**attribute.model_dump()) for attribute in told)
    return Patterns(attributes, **read_arrays(file, shapes))
