"""What a session and its recording processes say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from realtime.sources.base import NoticeKind
from realtime.sources.metadata import StreamDescription
from realtime.sources.selection import Wanted


@dataclass(frozen=True)
class Write:
    """Write to `path` from now on; `resume` goes on in a file that another process began."""

    path: Path
    resume: bool


@dataclass(frozen=True)
class Instead:
    """Record `new` from now on, and `old`, where it is one, no longer."""

    old: Wanted | None
    new: Wanted


@dataclass(frozen=True)
class Stop:
    """Ask to finish the file and end."""


@dataclass(frozen=True)
class StreamFound:
    """`stream` is received from now on, for `wanted`."""

    wanted: tuple[Wanted, ...]
    stream: StreamDescription


@dataclass(frozen=True)
class RecorderNotice:
    """Something that people must know: a kind of `Notice` and its line."""

    kind: NoticeKind
    text: str


@dataclass(frozen=True)
class Finished:
    """The file is complete; `samples` counts what it holds, by stream name. `fault` says what is not in it."""

    samples: dict[str, int]
    fault: str | None = None


FromRecorder = StreamFound | RecorderNotice | Finished
ToRecorder = Write | Instead | Stop
