"""What the process that reads LSL and the session say to each other, and how it travels on their pipe."""

from __future__ import annotations

import math
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from configs.schema import MarkerSettings, StreamSettings
from realtime.processes.supervised import Beat
from realtime.sources.base import Chunk, Notice, StreamSpec
from stimuli.markers import Marker

if TYPE_CHECKING:
    import pylsl

_HEADER = struct.Struct("<cId")


@dataclass(frozen=True)
class ReadOutlet:
    """The outlet that is read, so that no other one is taken for it.

    Attributes
    ----------
    uid, host
        Identifier of the outlet, and the machine it is on.
    ahead_s
        How far this machine's LSL clock is ahead of that one's, in seconds.
    last
        When a sample of it came last, in seconds on this machine's LSL clock.
    """

    uid: str
    host: str
    ahead_s: float
    last: float

    def is_followed_by(self, info: pylsl.StreamInfo) -> bool:
        """Return whether another outlet came on the same machine after this one's last sample, as in a restart.

        One that was there while this one sent is another amplifier, however alike.
        """
        return info.hostname() == self.host and float(info.created_at()) > self.last - self.ahead_s


@dataclass(frozen=True)
class Request:
    """What to read.

    `known` and `outlet` are set where this replaces a process that died: then nothing may be asked of the user.
    """

    stream: StreamSettings
    markers: MarkerSettings | None
    known: StreamSpec | None = None
    outlet: ReadOutlet | None = None


@dataclass(frozen=True)
class Begin:
    """Hand over what comes from now on."""


@dataclass(frozen=True)
class StreamOpened:
    """The EEG stream is open and flushed; chunks follow."""

    spec: StreamSpec
    outlet: ReadOutlet


@dataclass(frozen=True)
class ReadingFailed:
    """Nothing can be read; `text` says why in one line."""

    text: str


Message = Chunk | Marker | Notice | StreamOpened | ReadingFailed | Beat


def encode(message: Message) -> bytes:
    """Return `message` as it travels on the pipe; chunks as plain bytes, everything else pickled."""
    if isinstance(message, Chunk):
        head = _HEADER.pack(b"C", len(message.timestamps), math.nan if message.arrived is None else message.arrived)
        return head + message.timestamps.tobytes() + message.samples.tobytes()
    return b"P" + pickle.dumps(message)


def decode(data: bytes) -> Message:
    """Return the message that `data` holds."""
    if data[:1] == b"P":
        message: Message = pickle.loads(memoryview(data)[1:])
        return message
    _, n, arrived = _HEADER.unpack_from(data)
    timestamps = np.frombuffer(data, np.float64, n, _HEADER.size)
    samples = np.frombuffer(data, np.float32, offset=_HEADER.size + timestamps.nbytes)
    return Chunk(timestamps, samples.reshape(n, -1), None if math.isnan(arrived) else arrived)
