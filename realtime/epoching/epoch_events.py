"""What happens to a trial's window: what samples it holds, and why it cannot be used where it cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stimuli.markers import Marker

RefusalKind = Literal[
    "unsettled",
    "lost-samples",
    "broken-time",
    "not-finite",
    "rate",
    "late-marker",
    "marked",
    "artefact",
    "electrodes",
    "stream-ended",
    "paused",
    "failed",
]
"""Why a trial has no usable window, as it is counted; the line beside it says when and how much."""


@dataclass(frozen=True)
class Epoch:
    """One complete window.

    Attributes
    ----------
    trial
        Running number of the marker.
    marker
        What happened at `onset`.
    onset
        Time of the event in seconds on the LSL clock; the window is laid on the sample nearest to it.
    samples
        float32 ``[times, channels]`` in microvolts.
    flags
        What makes it doubtful, such as ``"peak-to-peak Fp1"``; empty for a clean epoch.
    last_timestamp
        Time of its last sample.
    arrived
        LSL clock time at which this machine had its last sample; None where nobody knows, as of a recording.
    """

    trial: int
    marker: Marker
    onset: float
    samples: NDArray[np.float32]
    flags: tuple[str, ...]
    last_timestamp: float
    arrived: float | None


@dataclass(frozen=True)
class Opened:
    """The first sample of a trial's window can be told."""

    trial: int
    marker: Marker
    onset: float


@dataclass(frozen=True)
class Samples:
    """The next samples of an open window: float32 ``[k, channels]``, of which the first is number `first` of it.

    `without` names the electrodes that are out for the whole window (`realtime.epoching.electrode_watch`).
    """

    trial: int
    first: int
    samples: NDArray[np.float32]
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class SoFar:
    """What an open window holds at a time at which it is answered: the first samples of `epoch`, and no others yet."""

    trial: int
    epoch: Epoch


@dataclass(frozen=True)
class Closed:
    """A trial's window is complete and nothing in it is known to be wrong."""

    trial: int
    epoch: Epoch


@dataclass(frozen=True)
class Refused:
    """A trial has no usable window; `reason` is one line for people, `kind` what is counted."""

    trial: int
    marker: Marker
    reason: str
    kind: RefusalKind


@dataclass(frozen=True)
class Retracted:
    """A trial that was closed has turned out wrong; `reason` and `kind` as in `Refused`."""

    trial: int
    marker: Marker
    reason: str
    kind: RefusalKind


EpochEvent = Opened | Samples | SoFar | Closed | Refused | Retracted
