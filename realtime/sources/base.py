"""What a source of EEG yields, whatever it is: chunks of samples and markers, with the timestamps as they came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

from realtime.sources.metadata import SIMULATED
from stimuli.markers import Marker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["WOKEN", "Chunk", "Marker", "Notice", "NoticeKind", "Source", "StreamSpec", "same_rate"]

NoticeKind = Literal[
    # a stream, or a process that serves it
    "stalled",
    "resumed",
    "lost",
    "reconnected",
    "restarted",
    "twin",
    "markers",
    "page",
    "unreadable",
    "foreign-clock",
    # the recorder
    "recording",
    "recorder",
    "unwritten",
    # the renderer
    "smaller",
    "worker",
    # the session
    "failed",
    "folder",
    "ending",
    "unpainted",
    "electrodes",
    "cap",
    "woken",
]
"""What a notice is about: programs go by it, never by the line, which is for people."""

RATE_TOLERANCE = 1e-3
"""Share by which nominal rates of one stream may differ: a header rounds, and the time axis bears as much."""


def same_rate(one_hz: float, other_hz: float) -> bool:
    """Return whether two nominal rates are one, written differently (999.412 Hz, 250.0003 Hz)."""
    return abs(one_hz - other_hz) <= RATE_TOLERANCE * one_hz


@dataclass(frozen=True)
class StreamSpec:
    """What an EEG stream is: compared with the calibration's before anything runs.

    Attributes
    ----------
    name, type, source_id
        As the stream's LSL metadata give them.
    rate_hz
        Nominal sampling rate.
    channels
        Channel names in order.
    unit
        Unit of the samples as sent; chunks are always in microvolts.
    reference
        Reference electrode(s) where the metadata name them.
    """

    name: str
    type: str
    source_id: str
    rate_hz: float
    channels: tuple[str, ...]
    unit: str = "microvolts"
    reference: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether a simulated participant made it, as its reference tells."""
        return self.reference == SIMULATED

    def at_rate_of(self, other: StreamSpec) -> StreamSpec:
        """Return this stream with the nominal rate of `other`, where the two are the same but for rounding."""
        return replace(self, rate_hz=other.rate_hz) if same_rate(other.rate_hz, self.rate_hz) else self

    def differences(self, other: StreamSpec) -> list[str]:
        """Return one line for each difference that makes `other`'s data unfit for what was made with this spec."""
        lines = []
        if not same_rate(self.rate_hz, other.rate_hz):
            lines.append(f"rate: {self.rate_hz:g} Hz expected, {other.rate_hz:g} Hz found")
        missing = [name for name in self.channels if name not in other.channels]
        if missing:
            lines.append(f"channels missing: {', '.join(missing)}")
        if self.reference and other.reference and self.reference != other.reference:
            lines.append(f"reference: {self.reference} expected, {other.reference} found")
        return lines


@dataclass(frozen=True)
class Chunk:
    """Samples as they came.

    Attributes
    ----------
    timestamps
        float64 ``[n]``, seconds on the LSL clock; clock offset applied, jitter untouched.
    samples
        float32 ``[n, channels]`` in microvolts.
    arrived
        LSL clock time at which this machine had the chunk; None where nobody knows, as of a recording.
    after_pause
        Whether the recording itself marks a pause before the first sample. Its length is the gap in the timestamps;
        where there is none, nobody knows how long it was.
    """

    timestamps: NDArray[np.float64]
    samples: NDArray[np.float32]
    arrived: float | None = None
    after_pause: bool = False

    @staticmethod
    def joined(chunks: Sequence[Chunk]) -> Chunk:
        """Return `chunks`, one at least, which follow one another, as one that arrived with the last of them.

        A pause may be marked before the first of them only.
        """
        import numpy as np

        if len(chunks) == 1:
            return chunks[0]
        timestamps = np.concatenate([chunk.timestamps for chunk in chunks])
        return Chunk(
            timestamps, np.concatenate([chunk.samples for chunk in chunks]), chunks[-1].arrived, chunks[0].after_pause
        )


@dataclass(frozen=True)
class Notice:
    """Something that a source, or another part of a session, has to report.

    Attributes
    ----------
    timestamp
        LSL clock time of the report.
    kind
        What it is about.
    text
        One line for people.
    """

    timestamp: float
    kind: NoticeKind
    text: str


WOKEN = Notice(0.0, "woken", "")
"""What `Source.events` yields after `Source.wake`: there is something else to look at."""


class Source(Protocol):
    """Where EEG comes from. Live streams, recordings and simulations differ only here."""

    @property
    def spec(self) -> StreamSpec:
        """What the stream is."""
        ...

    def events(self) -> Iterator[Chunk | Marker | Notice]:
        """Yield chunks, markers and notices in order of arrival until the source ends or is closed."""
        ...

    def wake(self) -> None:
        """Have `events` yield `WOKEN` soon where it waits; from any thread, also after the end.

        A source that never waits need not.
        """
        ...

    def close(self) -> None:
        """Stop and release what the source holds; safe to call twice and from another thread."""
        ...
