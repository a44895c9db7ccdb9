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


def find_streams(timeout_s: float = 2.0, wanted: Wanted | None = None) -> list[StreamDescription]:
    """Return every stream that answers in time, by name; the channels' names are not asked for.

    Parameters
    ----------
    timeout_s
        How long to look, in seconds: LSL asks every 1.75 s at most.
    wanted
        Where no stream is as wanted by then, on a busy machine for example, one is waited for three times as long.
    """
    finder = Finder()
    begun = time.monotonic()
    seen: dict[str, StreamDescription] = {}
    while True:
        # One that is slow to answer again is out of sight for a moment.
        seen |= {stream.uid: stream for stream, _ in finder.found()}
        enough = wanted is None or any(wanted.agrees(stream) for stream in seen.values())
        if time.monotonic() > begun + (1 if enough else 3) * timeout_s:
            return sorted(seen.values(), key=lambda stream: (stream.name, stream.source_id))
        time.sleep(0.05)


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
            in_sight = any(wanted.agrees(stream) for stream, _ in found)
            if settled is None and in_sight:
                settled = now + SETTLE_S  # a second stream may answer later than the first
            # On a busy machine one that was seen is forgotten before it answers again.
            if now >= give_up or (in_sight and settled is not None and now >= settled):
                stream = choose([stream for stream, _ in found], what, key, wanted)
                return next(info for candidate, info in found if candidate.uid == stream.uid)
            beat()
            time.sleep(0.02)

    def newest(self, wanted: Wanted, but_not: Container[str]) -> pylsl.StreamInfo | None:
        """Return the newest stream in sight that agrees with `wanted`, leaving out the outlets `but_not`."""
        found = self.found()
        return next((info for stream, info in found if wanted.agrees(stream) and stream.uid not in but_not), None)
