"""How the simulated participant hears of pictures: every matching marker stream, whenever it comes or comes back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from stimuli.markers import Marker, read_marker

if TYPE_CHECKING:
    import pylsl

    from configs.schema import MarkerSettings

logger = logging.getLogger(__name__)
LOOK_EVERY_S = 0.1


class MarkerListener:
    """Threads that look for marker streams and hand on each marker as it comes.

    Parameters
    ----------
    settings
        Name, type and source id that a stream must have, where given.
    hand_on
        Called with each marker, from a thread of its stream.
    tell
        Called with a stream's name once its markers can be heard.
    """

    def __init__(
        self, settings: MarkerSettings, hand_on: Callable[[Marker], None], tell: Callable[[str], None]
    ) -> None:
        self._settings, self._hand_on, self._tell = settings, hand_on, tell
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._look, name="marker streams", daemon=True)]

    def start(self) -> None:
        """Begin to look for streams."""
        self._threads[0].start()

    def join(self) -> None:
        """Stop listening and wait for the threads to end."""
        self._stop.set()
        for thread in list(self._threads):
            thread.join()

    def _look(self) -> None:
        import pylsl

        wanted = {"type": self._settings.type, "name": self._settings.name, "source_id": self._settings.source_id}
        predicate = " and ".join(f"{key}='{value}'" for key, value in wanted.items() if value is not None)
        resolver = pylsl.ContinuousResolver(pred=predicate, forget_after=2.0)
        known: set[str] = set()
        while not self._stop.wait(LOOK_EVERY_S):
            for info in resolver.results():
                if info.uid() not in known:  # A restarted program has a new one.
                    known.add(info.uid())
                    thread = threading.Thread(target=self._listen, args=(info,), name="markers", daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _listen(self, info: pylsl.StreamInfo) -> None:
        import pylsl
        from pylsl.util import LostError
        from pylsl.util import TimeoutError as SilenceError

        # Not recovered: a program that comes back is found again by `_look`, under its new uid.
        inlet = pylsl.StreamInlet(info, recover=False, processing_flags=pylsl.proc_clocksync)
        try:
            inlet.open_stream(timeout=5.0)
            # The first clock offset takes more than half a second to measure: before the first marker, not during it.
            inlet.time_correction(timeout=5.0)
            self._tell(info.name())
            while not self._stop.is_set():
                sample, timestamp = inlet.pull_sample(timeout=0.2)
                if sample is not None:
                    self._hand_on(read_marker(sample[0], timestamp))
        except (LostError, SilenceError) as error:
            logger.info("marker stream %s is gone: %s", info.name(), error)
        finally:
            inlet.close_stream()
