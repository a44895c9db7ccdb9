"""From raw timestamps to an honest time axis: jitter removed, lost samples kept as holes.

Timestamps must come with clock offsets applied but never dejittered: a dejitterer counts samples and so hides lost
ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime.timeline.axis_settings import DEFAULT, AxisSettings
from realtime.timeline.live_axis import LiveAxis
from realtime.timeline.recorded_axis import WARM_UP_S, RecordedAxis

if TYPE_CHECKING:
    from realtime.sources.base import Chunk
    from realtime.timeline.sample_grid import Timed

__all__ = ["WARM_UP_S", "Timeline"]


class Timeline:
    """Give every sample a place on the sample grid and a time, and report what was lost.

    Where the time of arrival of every chunk is known it is a second witness (`LiveAxis`); in a recording there is none
    (`RecordedAxis`). The first chunk says which it is.

    Parameters
    ----------
    rate_hz
        Nominal sampling rate.
    settings
        What a live time axis is tuned by.
    """

    def __init__(self, rate_hz: float, settings: AxisSettings = DEFAULT) -> None:
        self.rate_hz = rate_hz
        self.settings = settings
        self._axis: LiveAxis | RecordedAxis | None = None

    @property
    def lost(self) -> int:
        """Samples lost so far."""
        return self._axis.lost if self._axis is not None else 0

    @property
    def known(self) -> bool:
        """Whether the line of the samples is known; before the first one is, times may still be taken back."""
        return not isinstance(self._axis, LiveAxis) or self._axis.known

    @property
    def next_index(self) -> int:
        """Grid position of the sample that will be pushed next, unless samples are lost before it."""
        return self._axis.next_index if self._axis is not None else 0

    @property
    def rate_hz_measured(self) -> float:
        """Sampling rate by the timestamps."""
        return self._axis.rate_hz_measured if self._axis is not None else self.rate_hz

    @property
    def jitter_s(self) -> float:
        """Standard deviation of the timestamps about the line of the sample grid."""
        return self._axis.jitter_s if self._axis is not None else 0.0

    def push(self, chunk: Chunk) -> list[Timed]:
        """Return samples with their times, holes and faults, in order, as far as `chunk` makes them clear."""
        if self._axis is None:
            live = chunk.arrived is not None
            self._axis = LiveAxis(self.rate_hz, self.settings) if live else RecordedAxis(self.rate_hz)
        return self._axis.push(chunk)

    def work_ahead(self) -> None:
        """Do now, where there is time, what the next samples would otherwise wait for; it changes no result."""
        if isinstance(self._axis, LiveAxis):
            self._axis.work_ahead()
