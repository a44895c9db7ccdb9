"""The simulated amplifier's LSL outlet, and what can go wrong with an outlet itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pylsl

    from realtime.sources.base import Chunk
    from realtime.sources.fault_injection import FaultSpec

BUFFERED_S = 360


class Outlet:
    """Sends chunks, except while the amplifier is "switched off".

    Parameters
    ----------
    info
        Makes the stream's metadata for a source id.
    source_id
        Source id of the stream; none is told where it is to come back without.
    faults
        Restarts and twins, with their times after the first sample; a twin at time 0 is there from the start.
    chunk_size
        Samples sent at a time.
    """

    def __init__(
        self,
        info: Callable[[str], pylsl.StreamInfo],
        source_id: str,
        faults: tuple[FaultSpec, ...] = (),
        chunk_size: int = 5,
    ) -> None:
        self._info = info
        self._source_id = "" if any(fault.kind == "restart-without-id" for fault in faults) else source_id
        self._restarts = [fault for fault in faults if fault.kind != "duplicate-id"]
        self._twins = [fault for fault in faults if fault.kind == "duplicate-id"]
        self._chunk_size = chunk_size
        self._first: float | None = None
        self._outlet: pylsl.StreamOutlet | None = self._open()
        self._twin = self._open() if any(fault.at_s == 0 for fault in self._twins) else None

    def push(self, chunk: Chunk) -> None:
        """Send `chunk`, unless the amplifier is off at this time; what is taken meanwhile is lost."""
        import pylsl

        now = pylsl.local_clock()
        self._first = now if self._first is None else self._first
        age_s = now - self._first
        if any(fault.at_s <= age_s < fault.at_s + fault.value for fault in self._restarts):
            self._outlet = None
            return
        if self._outlet is None:
            self._outlet = self._open()
        if self._twin is None and any(fault.at_s <= age_s for fault in self._twins):
            self._twin = self._open()
        for outlet in (self._outlet, self._twin):
            if outlet is not None:
                outlet.push_chunk(chunk.samples, chunk.timestamps.tolist())

    def _open(self) -> pylsl.StreamOutlet:
        import pylsl

        return pylsl.StreamOutlet(self._info(self._source_id), self._chunk_size, BUFFERED_S)
