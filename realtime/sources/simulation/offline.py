"""A simulated participant as a source without a clock: what hours of looking would give, as fast as it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.simulation.participant import SimulationSettings, simulate_recording
from stimuli.picture_set import PictureSet

LEAD_IN_S = 4.0
"""Seconds of EEG before the first picture: enough for any filter to settle."""
_CHUNK = 25


class OfflineParticipant:
    """A source in which pictures are shown one after another at an even pace.

    Parameters
    ----------
    pictures
        Set that has the pictures.
    names
        What is shown, in order.
    every_s
        From one onset to the next.
    settings
        Who is simulated.
    name, source_id
        Name and source id of the stream.
    """

    def __init__(
        self,
        pictures: PictureSet,
        names: Sequence[str],
        every_s: float,
        settings: SimulationSettings,
        name: str = "SimulatedEEG",
        source_id: str = "perceptogram-simulated-eeg",
    ) -> None:
        onsets = [(shown, LEAD_IN_S + every_s * number) for number, shown in enumerate(names)]
        self._timestamps, self._samples, self._markers = simulate_recording(pictures, onsets, settings)
        self._spec = StreamSpec(name, "EEG", source_id, settings.rate_hz, settings.channels, "microvolts")
        self._closed = False

    @property
    def spec(self) -> StreamSpec:
        """What the stream is."""
        return self._spec

    def events(self) -> Iterator[Chunk | Marker]:
        """Yield chunks, each marker before the first chunk that reaches it."""
        waiting = list(self._markers)
        for first in range(0, len(self._timestamps), _CHUNK):
            if self._closed:
                return
            timestamps = self._timestamps[first : first + _CHUNK]
            while waiting and waiting[0].timestamp <= timestamps[-1]:
                yield waiting.pop(0)
            yield Chunk(timestamps, self._samples[first : first + _CHUNK])

    def wake(self) -> None:
        """Do nothing: this source never waits."""

    def close(self) -> None:
        """Stop; safe to call twice and from another thread."""
        self._closed = True
