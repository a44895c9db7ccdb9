"""A stream of pictures that glides from percept to percept, for those who want one: never for what is scored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from realtime.rendering.messages import Origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from realtime.rendering.messages import RenderRequest
    from realtime.rendering.picture_reuse import WarmStarting


def between(first: NDArray[np.float32], second: NDArray[np.float32], part: float) -> NDArray[np.float32]:
    """Return the embedding that lies on the arc between two, spherically interpolated; lengths go linearly.

    Parameters
    ----------
    first, second
        float32 ``[dims]``.
    part
        0 for the first, 1 for the second.
    """
    lengths = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    if min(lengths) == 0:
        return ((1 - part) * first + part * second).astype(np.float32)
    start, end = first / lengths[0], second / lengths[1]
    angle = float(np.arccos(np.clip(start @ end, -1.0, 1.0)))
    # Two that are almost alike, or opposite ones, between which no arc is the shortest.
    if np.sin(angle) < 1e-4:
        return ((1 - part) * first + part * second).astype(np.float32)
    direction = (np.sin((1 - part) * angle) * start + np.sin(part * angle) * end) / np.sin(angle)
    return np.asarray(direction * ((1 - part) * lengths[0] + part * lengths[1]), np.float32)


class Glide:
    """Where a gliding picture is.

    Parameters
    ----------
    generator
        Prepared; it holds the last picture.
    """

    def __init__(self, generator: WarmStarting) -> None:
        self._generator = generator
        self._place: NDArray[np.float32] | None = None
        self._trial: int | None = None

    def begin(self, request: RenderRequest) -> None:
        """Note that the generator has painted `request` from noise to its end."""
        self._place, self._trial = request.embedding, request.trial

    def forget(self) -> None:
        """Note that the generator holds another picture."""
        self._place = None

    @property
    def ready(self) -> bool:
        """Whether there is a picture to glide from."""
        return self._place is not None

    def paint(self, request: RenderRequest) -> Iterator[tuple[int, NDArray[np.uint8], Origin]]:
        """Yield step, picture uint8 ``[h, w, 3]`` and origin of each picture on the way, as many as there are steps.

        The way ends before the percept by the request's `flow`, a share of the arc. One that is left for a newer
        request is gone on from where it was left.
        """
        start = self._place
        assert start is not None
        goal = between(start, request.embedding, 1 - request.flow)
        origin = Origin("glide", self._trial)
        for step in range(1, request.steps + 1):
            place = between(start, goal, step / request.steps)
            self._place = None  # until the generator holds the picture of this place
            *_, image = self._generator.stream_warm(place, request.seed, request.steps)
            self._place, self._trial = place, request.trial
            yield step, image, origin
