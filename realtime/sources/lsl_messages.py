"""What the process that reads LSL and the session say to each other, and how it travels on their pipe."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass

import numpy as np

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk, Notice, StreamSpec
from stimuli.markers import Marker

_HEADER = struct.Struct("<cId")


@dataclass(frozen=True)
class Request:
    """What to read; `known` is set when this replaces a process that died, and nothing may be asked of the user."""

    stream: StreamSettings
    markers: MarkerSettings | None
    known: StreamSpec | None = None


@dataclass(frozen=True)
class Begin:
    """Hand over what comes from now on."""


@dataclass(frozen=True)
class Opened:
    """The EEG stream is open and flushed; chunks follow. `uid` is its outlet's."""

    spec: StreamSpec
    uid: str


@dataclass(frozen=True)
class Failed:
    """Nothing can be read; `text` says why in one line."""

    text: str


@dataclass(frozen=True)
class Beat:
    """A sign that the process is well though there is nothing to hand over."""


Message = Chunk | Marker | Notice | Opened | Failed | Beat


def encode(message: Message) -> bytes:
    """Return `message` as it travels on the pipe; chunks as plain bytes, everything else pickled."""
    if isinstance(message, Chunk):
        head = _HEADER.pack(b"C", len(message.stamps), message.arrived)
        return head + message.stamps.tobytes() + message.samples.tobytes()
    return b"P" + pickle.dumps(message)


def decode(data: bytes) -> Message:
    """Return the message that `data` holds."""
    if data[:1] == b"P":
        message: Message = pickle.loads(memoryview(data)[1:])
        return message
    _, n, arrived = _HEADER.unpack_from(data)
    stamps = np.frombuffer(data, np.float64, n, _HEADER.size)
    samples = np.frombuffer(data, np.float32, offset=_HEADER.size + stamps.nbytes)
    return Chunk(stamps, samples.reshape(n, -1), arrived)
