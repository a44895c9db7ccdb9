"""Finding LSL streams."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container
from typing import TYPE_CHECKING

from realtime.sources.metadata import SourceError, StreamDescription, describe_outlet
from realtime.sources.selection import Wanted, choose

if TYPE_CHECKING:
    import pylsl

logger = logging.getLogger(__name__)

SETTLE_S = 0.5  # how long to go on looking for a second stream that also agrees


def find_streams(timeout_s: float = 1.0) -> list[StreamDescription]:
    """Return every stream that answers within `timeout_s`, by name; the channels' names are not asked for."""
    finder = Finder()
    time.sleep(timeout_s)
    return sorted((stream for stream, _ in finder.found()), key=lambda stream: (stream.name, stream.source_id))


class Finder:
    """Looks for streams, in the background, for as long as it lives."""

    def __init__(self) -> None:
        import pylsl

        self._resolver = pylsl.ContinuousResolver(forget_after=2.0)
        self._passed_over: set[str] = set()

    def found(self) -> list[tuple[StreamDescription, pylsl.StreamInfo]]:
        """Return the streams in sight, the newest outlet first; one that cannot be described is passed over."""
        infos = sorted(self._resolver.results(), key=lambda info: float(info.created_at()), reverse=True)
        found = []
        for info in infos:
            try:
                found.append((describe_outlet(info), info))
            except SourceError as error:
                if info.uid() not in self._passed_over:
                    self._passed_over.add(info.uid())
                    logger.warning("passed over: %s", error)
        return found

    def first(
        self, timeout_s: float, what: str, key: str, wanted: Wanted, beat: Callable[[], None]
    ) -> pylsl.StreamInfo:
        """Return the one stream that is as wanted, as soon as it is there.

        Parameters
        ----------
        timeout_s
            How long to look for it, in seconds.
        what, key
            How to call the stream ("EEG") and its section of the settings ("stream") in errors.
        wanted
            What the stream must agree with.
        beat
            Called every 20 ms while looking, to show that this process lives.

        Raises
        ------
        SourceError
            If there is none, or more than one.
        """
        give_up = time.monotonic() + timeout_s
        settled = None
        while True:
            found = self.found()
            now = time.monotonic()
            if settled is None and any(wanted.agrees(stream) for stream, _ in found):
                settled = now + SETTLE_S  # a second stream may answer later than the first
            if now >= (give_up if settled is None else settled):
                stream = choose([stream for stream, _ in found], what, key, wanted)
                return next(info for candidate, info in found if candidate.uid == stream.uid)
            beat()
            time.sleep(0.02)

    def newest(self, wanted: Wanted, but_not: Container[str]) -> pylsl.StreamInfo | None:
        """Return the newest stream in sight that agrees with `wanted`, leaving out the outlets `but_not`."""
        found = self.found()
        return next((info for stream, info in found if wanted.agrees(stream) and stream.uid not in but_not), None)
