"""What goes wrong with amplifiers, networks and clocks, done to a stream on purpose.

A fault is written ``kind:value@start+duration``, such as ``drop:25@10s`` or ``nan:Cz@5s+0.2s``, or with the names of
its parts, ``drop:n=25,at=10`` or ``nan:channel=Cz,at=5,for=0.2``; several are separated by commas. Times are in seconds
after the stream's first sample.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.base import Chunk, Marker, Notice, StreamSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

Event = Chunk | Marker | Notice
Events = Iterator[Event]

KINDS = {
    "marker-lost": ("markers", 1.0),
    "marker-late": ("seconds", 1.0),
    "nan": ("channel", None),
    "railed": ("channel", None),
    "flat": ("channel", None),
    "unit": ("factor", 1e-6),
    "missing": ("channel", None),
    "reordered": (None, None),
    "drop": ("samples", 25.0),
    "repeat": ("samples", 10.0),
    "rate": ("relative error", 0.01),
    "jitter": ("standard deviation in seconds", 0.002),
    "burst": ("seconds", 0.2),
    "stall": ("seconds", 1.0),
    "clock-step": ("seconds", 0.5),
    "unix": (None, None),
    "restart": ("seconds", 1.0),
    "restart-without-id": ("seconds", 1.0),
    "duplicate-id": (None, None),
}
"""What each kind's value means and its default, in the order of application: samples first, then timestamps."""
OUTLET_KINDS = ("restart", "restart-without-id", "duplicate-id")
"""Faults of the outlet itself, which whoever owns the outlet has to commit."""
MARKER_KINDS = ("marker-lost", "marker-late")
"""Faults of the marker stream."""
VALUE_KEYS = {
    "markers": "n",
    "samples": "n",
    "seconds": "s",
    "standard deviation in seconds": "sd",
    "relative error": "by",
    "factor": "factor",
    "channel": "channel",
}
"""What a fault's value is called where its parts are named, by its meaning."""
RAIL_UV = 187_500.0
UNIX_OFFSET_S = 1.7e9
"""Unix time less the LSL clock, which counts from the start of the machine."""
_PATTERN = re.compile(r"(?P<kind>[a-z-]+)(:(?P<value>[^@+]+))?(@(?P<at>[\d.]+)s?)?(\+(?P<length>[\d.]+)s?)?")


@dataclass(frozen=True)
class FaultSpec:
    """One fault to inject.

    Attributes
    ----------
    kind
        One of `KINDS`.
    value
        How much of it, as `KINDS` says.
    channel
        Which channel; the first where none is named.
    at_s
        When, in seconds after the first sample.
    for_s
        How long; for good where nothing is said.
    """

    kind: str
    value: float = 0.0
    channel: str | None = None
    at_s: float = 0.0
    for_s: float = math.inf

    def holds(self, age_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of the samples taken `age_s` ``[n]`` after the first one are concerned, ``[n]``."""
        return np.asarray((age_s >= self.at_s - 1e-9) & (age_s < self.at_s + self.for_s - 1e-9))


def parse_fault(text: str) -> FaultSpec:
    """Return the fault that `text` describes, such as ``drop:25@10s`` or ``drop:n=25,at=10``.

    Raises
    ------
    ValueError
        If the kind is unknown or its value cannot be read.

    Examples
    --------
    >>> fault = parse_fault("drop:25@10s")
    >>> fault.kind, fault.value, fault.at_s
    ('drop', 25.0, 10.0)
    """
    if "=" in text:
        text = _shortened(text.strip())
    match = _PATTERN.fullmatch(text.strip())
    if match is None or match["kind"] not in KINDS:
        msg = f"fault {text.strip()!r} is not understood: write kind:value@start+duration, kinds: {', '.join(KINDS)}"
        raise ValueError(msg)
    kind, given = match["kind"], match["value"]
    meaning, default = KINDS[kind]
    channel, value = None, default or 0.0
    try:
        if meaning == "channel":
            channel = given
        elif given is not None:
            value = float(given.removesuffix("s"))
        times = [float(match[name]) if match[name] else None for name in ("at", "length")]
    except ValueError:
        msg = f"fault {text.strip()!r}: {kind} takes {meaning or 'no value'} as a number"
        raise ValueError(msg) from None
    if given is not None and meaning is None:
        msg = f"fault {text.strip()!r}: {kind} takes no value"
        raise ValueError(msg)
    return FaultSpec(kind, value, channel, times[0] or 0.0, math.inf if times[1] is None else times[1])


def _shortened(text: str) -> str:
    """Return ``drop:n=25,at=10`` as ``drop:25@10``."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        msg = f"fault {text!r}: there is no kind {kind!r}; kinds: {', '.join(KINDS)}"
        raise ValueError(msg)
    meaning = KINDS[kind][0]
    value_key = VALUE_KEYS[meaning] if meaning is not None else None
    allowed = [key for key in (value_key, "at", "for") if key is not None]
    given = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    for key, value in given.items():
        if key not in allowed or not value:
            msg = f"fault {text!r}: {kind} takes {', '.join(f'{name}=...' for name in allowed)}, not {key}={value}"
            raise ValueError(msg)
    parts = ((":", value_key), ("@", "at"), ("+", "for"))
    return kind + "".join(sign + given[key] for sign, key in parts if key is not None and key in given)


def parse_faults(text: str) -> tuple[FaultSpec, ...]:
    """Return the faults in `text`, separated by commas, in the order in which they are applied.

    Raises
    ------
    ValueError
        If one of them cannot be understood.
    """
    faults = [parse_fault(part) for part in re.split(r",(?!\s*[a-z]+=)", text) if part.strip()]
    return tuple(sorted(faults, key=lambda fault: list(KINDS).index(fault.kind)))


def faulty_spec(spec: StreamSpec, faults: tuple[FaultSpec, ...]) -> StreamSpec:
    """Return what the stream `spec` says of itself once `faults` are in it: a channel may be missing or elsewhere."""
    for fault in faults:
        if fault.kind == "missing":
            gone = _column(spec, fault)
            spec = replace(spec, channels=spec.channels[:gone] + spec.channels[gone + 1 :])
        elif fault.kind == "reordered":
            spec = replace(spec, channels=spec.channels[::-1])
    return spec


def inject(events: Events, faults: tuple[FaultSpec, ...], spec: StreamSpec, seed: int = 0) -> Events:
    """Return a stream's events with faults in them, the same ones for the same seed.

    Parameters
    ----------
    events
        Chunks and markers of the stream.
    faults
        What goes wrong; a later fault acts on what the ones before it left.
    spec
        The stream's description, by which channels and times are found.
    seed
        Seed of what is random in a fault.

    Raises
    ------
    ValueError
        If a fault's channel is not in the stream, or a fault is the outlet's to commit.
    """
    for number, fault in enumerate(faults):
        if fault.kind in OUTLET_KINDS:
            msg = f"fault {fault.kind!r} can only be committed by the outlet itself: use it with a simulated stream"
            raise ValueError(msg)
        events = _TRANSFORMS[fault.kind](events, fault, spec, np.random.default_rng([seed, number]))
        spec = faulty_spec(spec, (fault,))
    return events


def _column(spec: StreamSpec, fault: FaultSpec) -> int:
    if fault.channel is None:
        return 0
    if fault.channel not in spec.channels:
        msg = f"fault {fault.kind!r}: channel {fault.channel!r} is not in the stream: {', '.join(spec.channels)}"
        raise ValueError(msg)
    return spec.channels.index(fault.channel)


Rewrite = Callable[[Chunk, "NDArray[np.bool_]"], Chunk]


def _rewrite(events: Events, fault: FaultSpec, spec: StreamSpec, rewrite: Rewrite) -> Events:
    """Yield `events`, with the chunks that the fault concerns rewritten; empty ones are left out."""
    taken = 0
    for event in events:
        if isinstance(event, Chunk):
            rows = fault.holds((taken + np.arange(len(event.timestamps))) / spec.rate_hz)
            taken += len(rows)
            chunk = rewrite(event, rows) if rows.any() else event
            if len(chunk.timestamps):
                yield chunk
        else:
            yield event


def _drop(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
        return Chunk(chunk.timestamps[~rows], chunk.samples[~rows], chunk.arrived)

    return _rewrite(events, replace(fault, for_s=fault.value / spec.rate_hz), spec, rewrite)


def _repeat(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
        order = np.concatenate([np.arange(len(rows)), np.flatnonzero(rows)])
        return Chunk(chunk.timestamps[order], chunk.samples[order], chunk.arrived)

    return _rewrite(events, replace(fault, for_s=fault.value / spec.rate_hz), spec, rewrite)


def _values(change: Callable[[NDArray[np.float32], FaultSpec], None], *, one_channel: bool) -> _Transform:
    """Return the fault that `change` does to the samples concerned, or to one channel of them."""

    def transform(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
        column = slice(_column(spec, fault), _column(spec, fault) + 1) if one_channel else slice(None)

        def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
            samples = chunk.samples.copy()
            part = samples[rows, column]
            change(part, fault)
            samples[rows, column] = part
            return replace(chunk, samples=samples)

        return _rewrite(events, fault, spec, rewrite)

    return transform


def _scale(samples: NDArray[np.float32], fault: FaultSpec) -> None:
    samples *= fault.value


def _constant(value: float) -> Callable[[NDArray[np.float32], FaultSpec], None]:
    return lambda samples, _: samples.fill(value)


def _missing(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    gone = _column(spec, fault)
    return _rewrite(
        events, FaultSpec("missing"), spec, lambda c, _: replace(c, samples=np.delete(c.samples, gone, axis=1))
    )


def _reordered(events: Events, _: FaultSpec, spec: StreamSpec, __: np.random.Generator) -> Events:
    return _rewrite(events, FaultSpec("reordered"), spec, lambda c, _: replace(c, samples=c.samples[:, ::-1]))


def _jitter(events: Events, fault: FaultSpec, spec: StreamSpec, rng: np.random.Generator) -> Events:
    def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
        return replace(chunk, timestamps=chunk.timestamps + rows * rng.normal(0, fault.value, len(rows)))

    return _rewrite(events, fault, spec, rewrite)


def _clock_step(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    step = UNIX_OFFSET_S if fault.kind == "unix" else fault.value
    return _rewrite(events, fault, spec, lambda chunk, rows: replace(chunk, timestamps=chunk.timestamps + rows * step))


def _rate(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    origin: list[float] = []

    def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
        origin[:] = origin or [float(chunk.timestamps[rows][0])]
        slower = (chunk.timestamps - origin[0]) * (1 / (1 + fault.value) - 1)
        arrived = None if chunk.arrived is None else chunk.arrived + float(slower[-1])
        return replace(chunk, timestamps=chunk.timestamps + rows * slower, arrived=arrived)

    return _rewrite(events, replace(fault, for_s=math.inf), spec, rewrite)


def _burst(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    """Timestamp what was taken during the burst when it is over, chunk behind chunk, as a stalled sender does."""
    sent = 0.0

    def rewrite(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
        nonlocal sent
        sent = max(sent + 1e-4, float(chunk.timestamps[rows][0]) + fault.value) if not sent else sent + 1e-4
        last = max(sent, float(chunk.timestamps[-1]))
        timestamps = last - np.arange(len(rows))[::-1] / spec.rate_hz
        arrived = None if chunk.arrived is None else max(chunk.arrived, last + 1e-4)
        return replace(chunk, timestamps=timestamps, arrived=arrived)

    return _rewrite(events, replace(fault, for_s=fault.value), spec, rewrite)


def _stall(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    """Hold the chunks of the stall's time back until it is over; their timestamps are right."""
    taken, held = 0, list[Chunk]()
    for event in events:
        if not isinstance(event, Chunk):
            yield event
            continue
        stalled = fault.at_s <= taken / spec.rate_hz < fault.at_s + fault.value
        taken += len(event.timestamps)
        if stalled:
            held.append(event)
            continue
        for chunk in held:
            yield replace(chunk, arrived=event.arrived)
        held.clear()
        yield event
    yield from held


def _marker_lost(events: Events, fault: FaultSpec, _: StreamSpec, __: np.random.Generator) -> Events:
    start, lost = None, 0
    for event in events:
        if isinstance(event, Chunk) and start is None:
            start = float(event.timestamps[0])
        if (
            isinstance(event, Marker)
            and start is not None
            and event.timestamp >= start + fault.at_s
            and lost < fault.value
        ):
            lost += 1
        else:
            yield event


def _marker_late(events: Events, fault: FaultSpec, spec: StreamSpec, _: np.random.Generator) -> Events:
    taken, waiting = 0, list[tuple[float, Marker]]()
    for event in events:
        age_s = taken / spec.rate_hz
        if isinstance(event, Chunk):
            taken += len(event.timestamps)
        elif isinstance(event, Marker) and fault.holds(np.array([age_s]))[0]:
            waiting.append((age_s + fault.value, event))
            continue
        yield event
        while waiting and waiting[0][0] <= age_s:
            yield waiting.pop(0)[1]
    yield from (marker for _, marker in waiting)


_Transform = Callable[[Events, FaultSpec, StreamSpec, np.random.Generator], Events]
_TRANSFORMS: dict[str, _Transform] = {
    "marker-lost": _marker_lost,
    "marker-late": _marker_late,
    "nan": _values(_constant(math.nan), one_channel=True),
    "railed": _values(_constant(RAIL_UV), one_channel=True),
    "flat": _values(_constant(0.0), one_channel=True),
    "unit": _values(_scale, one_channel=False),
    "missing": _missing,
    "reordered": _reordered,
    "drop": _drop,
    "repeat": _repeat,
    "rate": _rate,
    "jitter": _jitter,
    "burst": _burst,
    "stall": _stall,
    "clock-step": _clock_step,
    "unix": _clock_step,
}
