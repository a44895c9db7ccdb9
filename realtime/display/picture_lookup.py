"""The pictures of a set that a display shows, looked up where drawing them holds up nobody."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from realtime.display.layout import DisplayState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stimuli.picture_set import PictureSet

SHOWN_SIDE, NEAREST_SIDE = 256, 128
"""Side in pixels of what was shown, and of the nearest pictures."""
KEPT = 512
"""Pictures that are kept once they were drawn, which takes ten to forty milliseconds each."""


class LookUp:
    """Fills in what a state only names.

    Parameters
    ----------
    pictures
        The set; names that it does not have, such as those of classes, stay without a picture.
    """

    def __init__(self, pictures: PictureSet) -> None:
        self._names = frozenset(pictures.names)
        self._image = lru_cache(KEPT)(pictures.image)

    def __call__(self, state: DisplayState) -> DisplayState:
        """Return `state` with the pictures that it names."""
        nearest = tuple(replace(near, image=self._find(near.name, NEAREST_SIDE)) for near in state.nearest[:5])
        return replace(state, shown=self._find(state.shown_name, SHOWN_SIDE), nearest=nearest)

    def _find(self, name: str, side: int) -> NDArray[np.uint8] | None:
        return self._image(name, side) if name in self._names else None
