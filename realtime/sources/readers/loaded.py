"""What a reader makes of a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime.sources.base import Marker, StreamSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from configs.schema import StreamSettings

    Loader = Callable[[StreamSettings], "Loaded"]
    """Loads the stream and channels that are wanted from a file that has been read."""


@dataclass(frozen=True)
class Loaded:
    """A recording in memory, or on disk where the format allows reading parts.

    Attributes
    ----------
    spec
        The chosen EEG stream.
    timestamps
        float64 ``[n]``, seconds, as recorded: clock offsets applied, jitter and holes untouched.
    read
        ``read(start, stop)`` returns those samples as float32 ``[stop - start, channels]`` in microvolts.
    markers
        In order of their timestamps.
    notices
        What people should know of how the file was read, one line each: channels left out, gaps of unknown length.
    pauses
        Rows before which the file itself marks a pause. The timestamps jump by its length; where the file does not tell
        that, they go on, and only this says that the samples on both sides do not belong together.
    """

    spec: StreamSpec
    timestamps: NDArray[np.float64]
    read: Callable[[int, int], NDArray[np.float32]]
    markers: tuple[Marker, ...]
    notices: tuple[str, ...] = ()
    pauses: tuple[int, ...] = ()
