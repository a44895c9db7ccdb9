"""What a session says: percepts, pictures, and what happened to the stream and to trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from realtime.decoding.evidence import Percept
from realtime.epoching.electrode_watch import ElectrodeChange
from realtime.epoching.epochs import Epoch, Refused, Retracted
from realtime.epoching.pipeline import Settled
from realtime.painter import Late
from realtime.rendering.messages import Frame
from realtime.sources.base import Marker, Notice
from realtime.timeline.sample_grid import Fault, Hole, Recount

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Decoded:
    """One trial's window, decoded; as much of it as was needed where its percept says a time, `at_s`.

    Attributes
    ----------
    percept
        What is now believed, all repeats together.
    single
        float32 ``[dims]``: of this trial alone, what is compared with the candidates.
    epoch
        The window itself.
    latency_us
        From the chunk that held the window's last sample reaching the session to the embedding.
    map_us
        The part of it that the map took.
    drift
        What was corrected in it, as `WindowDecoder.correction` says it; None for nothing.
    """

    percept: Percept
    single: NDArray[np.float32]
    epoch: Epoch
    latency_us: float
    map_us: float
    drift: dict[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Answered:
    """What is believed of a trial whose window is still open.

    Attributes
    ----------
    percept
        Earlier repeats and what was seen of this trial, together; it says of which time, `at_s`.
    single
        float32 ``[dims]``: of this trial alone, what is compared with the candidates, the rest of its window predicted.
    epoch
        The window so far.
    """

    percept: Percept
    single: NDArray[np.float32]
    epoch: Epoch


@dataclass(frozen=True, eq=False)
class PreStimulusDecoded:
    """The window of the same length that ends at a trial's onset, decoded by the same map: it must be at chance.

    `shown` is what followed, as `Session.shown` names it.
    """

    trial: int
    marker: Marker
    single: NDArray[np.float32]
    shown: str | None


@dataclass(frozen=True)
class Tick:
    """The session is alive, and the newest sample is of `timestamp`, in seconds on the LSL clock."""

    timestamp: float


@dataclass(frozen=True)
class OnScreen:
    """A trial's final picture, or its first `preview`, is on the screen since `timestamp`, in LSL seconds."""

    trial: int
    timestamp: float
    preview: bool = False

    @property
    def stage(self) -> str:
        """The stage's name in a ledger."""
        return "preview_shown" if self.preview else "shown"


SessionEvent = (
    Decoded
    | Answered
    | PreStimulusDecoded
    | Frame
    | Late
    | OnScreen
    | Refused
    | Retracted
    | ElectrodeChange
    | Settled
    | Hole
    | Recount
    | Fault
    | Notice
    | Tick
)
