"""The stimulus program's marker stream on LSL: one JSON string a marker, timestamped with the time of the event."""

from __future__ import annotations

import time

from configs.errors import InputError
from stimuli.markers import SCHEMA, Marker

NAME = "PerceptogramMarkers"
SOURCE_ID = "perceptogram-markers"
LINGER_S = 0.25


class NobodyListens(InputError):
    """A marker stream that nobody has subscribed to, so that markers sent now would be lost."""

    about = "markers"


class MarkerOutlet:
    """A marker stream, on the network until it is closed.

    Parameters
    ----------
    name, source_id
        Name and source id of the stream; the same source id again after a restart lets listeners find it again.
    """

    def __init__(self, name: str = NAME, source_id: str = SOURCE_ID) -> None:
        import pylsl

        self._name = name
        info = pylsl.StreamInfo(name, "Markers", 1, pylsl.IRREGULAR_RATE, pylsl.cf_string, source_id)
        description = info.desc()
        description.append_child_value("manufacturer", "Perceptogram Live")
        description.append_child_value("format", "JSON").append_child_value("schema", str(SCHEMA))
        self._outlet: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info, 1, 360)

    def send(self, marker: Marker) -> None:
        """Send a marker under its own timestamp, whenever it is sent."""
        if self._outlet is not None:
            self._outlet.push_sample([marker.text()], marker.timestamp)

    def wait_for_listener(self, timeout_s: float) -> None:
        """Return once somebody has subscribed.

        Raises
        ------
        NobodyListens
            If nobody does within `timeout_s`.
        """
        if self._outlet is None or not self._outlet.wait_for_consumers(timeout_s):
            msg = f"nobody listens to marker stream {self._name!r} after {timeout_s:g} s: start the recording first"
            raise NobodyListens(msg)

    def close(self) -> None:
        """Take the stream off the network; safe to call twice."""
        if self._outlet is not None and self._outlet.have_consumers():
            time.sleep(LINGER_S)  # LSL does not tell when the last marker has left, and drops what has not.
        self._outlet = None
