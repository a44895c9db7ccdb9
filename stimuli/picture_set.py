"""A set of pictures: what every source of pictures offers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from configs.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


Split = Literal["calibration", "test", "all"]


SPLITS: tuple[Split, ...] = ("calibration", "test", "all")


class PictureError(InputError):
    """Pictures that cannot be used; the message is one line that names the file or the picture."""

    about = "pictures"


class PictureSet(Protocol):
    """Named pictures, each with a concept, attributes and a content hash."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names in a fixed order; a name is unique within its set."""
        ...

    def image(self, name: str, size: int | None = None) -> NDArray[np.uint8]:
        """Return a picture as RGB ``[height, width, 3]``: as it is, or fitted into a square of `size` pixels.

        Raises
        ------
        PictureError
            If the set has no such picture, or its file is missing or corrupt.
        """
        ...

    def label(self, name: str) -> str:
        """Return the concept that a picture shows."""
        ...

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return everything else that is known of a picture; empty where nothing is."""
        ...

    def hash(self, name: str) -> str:
        """Return the SHA-256 of a picture's pixels, so that a picture is known by what it shows."""
        ...
