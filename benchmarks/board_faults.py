"""The fault table through a board: samples with a package counter and host timestamps, as they come from three kinds.

The first channel counts the samples, whose true times are known. Live, BrainFlow's synthetic board loses packages on
purpose, and its playback board plays a file in which one fault of the table follows another.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fault_rows import ROW, Truth, measure, pipeline_for
from benchmarks.faults import FAULTS
from benchmarks.harness import machine, print_table
from benchmarks.peers import AT_S, LATER, fault_at
from benchmarks.senders import CHANNELS
from configs.errors import InputError
from configs.schema import MarkerSettings, StreamSettings
from realtime.epoching.epochs import Closed, Refused, Retracted
from realtime.sources.base import Chunk, Marker, StreamSpec
from realtime.sources.boards.board import Board, BoardSamples, load_brainflow
from realtime.sources.boards.bridge import BoardStream, on_air, run_board
from realtime.sources.boards.sample_clock import BoardClock
from realtime.sources.fault_injection import FaultSpec, faulty_spec, inject, parse_fault
from realtime.sources.lsl import LslSource
from realtime.timeline.sample_grid import Hole, Recount
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import Marker as Sent

FAULTS_OF_BOARDS = (*(text for text in FAULTS if text != "unix"), "stall:1.5")
"""The fault table; host timestamps are Unix time as it is."""
SECONDS = 40.0
LOOK_S = 0.02
START = 5000.0
SPEC = StreamSpec("board", "EEG", "board", 250.0, CHANNELS)
MODULUS = 256
TOLERANCE_S = 4e-3
"""By how much the promptest packages of a board may be late."""
PLAYED = {8.0: 1, 9.2: 2, 10.4: 5, 11.6: 25, 13.0: 100, 15.0: 250}
"""Packages missing in the file that is played, by second."""
REPEATED_S, NAN_S, LATE_S = 18.0, 19.2, 20.5
"""When in it ten packages come twice, a channel is NaN for 0.1 s, and half a second of packages comes at its end."""
PLAYED_S = 24.0
FIRST_S, LAST_S = 3.0, 2.0
"""Seconds of a session before the first package is dropped, and after the last."""


@dataclass(frozen=True)
class Way:
    """How samples come from a board to the host.

    Attributes
    ----------
    about
        In words.
    packages
        Samples that come at once and bear one host timestamp.
    late_s
        Mean of the exponential delay of each.
    """

    about: str
    packages: int
    late_s: float


WAYS = {
    "cable": Way("samples singly, 1 ms late", 1, 1e-3),
    "dongle": Way("5 at once, 4 ms late", 5, 4e-3),
    "bluetooth": Way("12 at once, 8 ms late", 12, 8e-3),
}


def stream(way: Way, seconds: float = SECONDS) -> list[Chunk | Marker]:
    """Return what a board of `SPEC` sends, as looks at it find it: host timestamps; a marker every 0.2 s from 4 s on.

    The first channel carries the sample's number.
    """
    rate, rng, out = SPEC.rate_hz, np.random.default_rng(0), list[Chunk | Marker]()
    n = round(seconds * rate)
    last = np.minimum(np.arange(n) // way.packages * way.packages + way.packages - 1, n - 1)
    heard = last[:: way.packages] / rate + rng.exponential(way.late_s, len(last[:: way.packages]))
    host = START + np.repeat(np.maximum.accumulate(heard), way.packages)[:n]
    samples = rng.normal(0, 10, (n, len(SPEC.channels))).astype(np.float32)
    samples[:, 0] = np.arange(n)
    looks = np.unique(np.searchsorted(host, np.arange(START, START + seconds + 1, LOOK_S)))
    trial = 0
    for first, stop in pairwise(looks.tolist()):
        looked = START + LOOK_S * float(np.ceil((host[stop - 1] - START) / LOOK_S))
        out.append(Chunk(host[first:stop], samples[first:stop], looked))
        onset = START + 4.0 + 0.2 * trial
        if looked >= onset:
            out.append(Marker(onset, "picture", f"p{trial}", {"trial": trial}))
            trial += 1
    return out


def stamped(items: Iterator[Any], fault: FaultSpec, first: int) -> Iterator[Any]:
    """Yield what a session hears of `items`: each chunk with the times that the board's clock gives it.

    Parameters
    ----------
    items
        Chunks with host timestamps, and markers.
    fault
        The fault that is in them, which may have changed the unit of the number.
    first
        Column of the number.
    """
    clock = BoardClock(SPEC.rate_hz, MODULUS)
    for item in items:
        if not isinstance(item, Chunk):
            yield item
            continue
        numbers = item.samples[:, first].astype(np.float64)
        if fault.kind == "unit":
            numbers = np.where(numbers < 1, numbers / fault.value, numbers)
        counts = np.rint(numbers).astype(np.int64) % MODULUS
        kept, timestamps = clock.timestamp(counts, item.timestamps)
        if len(timestamps):
            yield replace(item, timestamps=timestamps, samples=item.samples[kept])


def _clock_set(items: Iterator[Any], fault: FaultSpec) -> Iterator[Any]:
    """Yield `items` as where the computer's clock is set: what lay in a look before is off by the step once."""
    for item in items:
        moved = isinstance(item, Chunk) and item.arrived is not None and item.arrived >= START + fault.at_s
        before = item.timestamps < START + fault.at_s if moved else np.zeros(0)
        yield replace(item, timestamps=item.timestamps - fault.value * before) if before.any() else item


def one(text: str, way: Way, seconds: float = SECONDS, at_s: float = AT_S) -> dict[str, Any]:
    """Return what becomes of the fault `text`.

    Parameters
    ----------
    text
        As in the fault table.
    way
        How the board's samples come.
    seconds
        Length of the stream.
    at_s
        When the fault comes; a wrong rate is there from the start, unless its text says *later*.
    """
    from_start = text.startswith("rate") and not text.endswith(LATER)
    fault = parse_fault(fault_at(text, 0.0 if from_start else at_s))
    spec = faulty_spec(SPEC, (fault,))
    try:
        pipeline = pipeline_for(fault, spec)
    except InputError as error:
        return {"name": text} | ROW | {"detected": True, "delay_s": 0.0, "by": str(error)}
    items: Iterator[Any] = iter(stream(way, seconds))
    items = _clock_set(items, fault) if fault.kind == "clock-step" else inject(items, (fault,), SPEC)
    first = spec.channels.index(SPEC.channels[0])
    shown = fault.value / spec.rate_hz if fault.kind == "drop" else fault.value * (fault.kind in ("burst", "stall"))
    truth = Truth(fault, START, START + fault.at_s + shown, TOLERANCE_S)
    return {"name": text} | measure(truth, pipeline, stamped(items, fault, first))


class Dropping:
    """The synthetic board with the running number in its first channel; chosen packages never arrive.

    Parameters
    ----------
    board
        It, open.
    count
        How many packages are lost, in ones and threes; an even number.
    """

    def __init__(self, board: Board, count: int) -> None:
        self._board, self._count, self._seen = board, count, 0
        self.name, self.rate_hz, self.modulus, self.spec = board.name, board.rate_hz, board.modulus, board.spec
        self.dropped = np.zeros(0, np.int64)

    def drop(self, seconds: float) -> None:
        """Lose the packages, evenly over a session of `seconds` that begins now."""
        count = self._count
        starts = self._seen + np.linspace(FIRST_S, seconds - LAST_S, count // 2, endpoint=False) * self.rate_hz
        lengths = [1, 3] * (count // 4) + [2] * (count // 2 % 2)
        numbers = [round(at) + k for at, length in zip(starts.tolist(), lengths, strict=True) for k in range(length)]
        self.dropped = np.array(numbers)

    def read(self) -> BoardSamples:
        """Return what came since the last look, without what was dropped."""
        samples = self._board.read()
        numbers = self._seen + np.arange(len(samples.host))
        self._seen += len(numbers)
        microvolts = samples.microvolts.copy()
        microvolts[:, 0] = numbers
        kept = ~np.isin(numbers, self.dropped)
        assert samples.counts is not None
        return replace(samples, counts=samples.counts[kept], host=samples.host[kept], microvolts=microvolts[kept])


def dropping(seconds: float = 60.0, count: int = 20) -> dict[str, Any]:
    """Return what a live session makes of the synthetic board that loses `count` packages.

    Parameters
    ----------
    seconds
        How long the session is.
    count
        Packages that never arrive.
    """
    stop, told, boards = threading.Event(), list[dict[str, Any]](), list[Dropping]()

    @contextmanager
    def opened() -> Iterator[Dropping]:
        with Board("SYNTHETIC_BOARD", {}) as board:
            boards.append(Dropping(board, count))
            yield boards[-1]

    def tell(event: str, **fields: Any) -> None:
        told.append({"event": event} | fields)

    name = f"board-{uuid.uuid4().hex[:8]}"
    board = BoardStream("SYNTHETIC_BOARD", name=name, source_id=name)
    thread = threading.Thread(target=run_board, args=(board, stop, tell, opened))
    thread.start()
    try:
        row = _session(StreamSettings(name=name, timeout_s=60.0), seconds, lambda: boards[-1].drop(seconds))
    finally:
        stop.set()
        thread.join()
    counted = [one["lost"] for one in told if one["event"] == "status"]
    return {"board": "synthetic", "dropped": count, "counted": counted[-1]} | row


def playing() -> dict[str, Any]:
    """Return what a live session makes of the file with the faults of the table, played by BrainFlow's own process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "faults.csv"
        dropped = write_played(file)
        settings: dict[str, Any] = {"file": str(file), "master_board": "SYNTHETIC_BOARD"}
        name = f"board-{uuid.uuid4().hex[:8]}"
        stream = StreamSettings(
            source="brainflow", board="PLAYBACK_FILE_BOARD", board_settings=settings, name=name, timeout_s=60.0
        )
        found, board = on_air(stream)
        assert board is not None
        try:
            row = _session(found, PLAYED_S)
        finally:
            board.stop()
    return {"board": "playback", "dropped": dropped} | row


def write_played(file: Path, seconds: float = PLAYED_S) -> int:
    """Write what the synthetic board would have recorded, with faults in it, and return how many packages are missing.

    Parameters
    ----------
    file
        As BrainFlow's own streamer writes it.
    seconds
        How much of it.
    """
    rows = load_brainflow().BoardShim.get_board_descr(-1)
    rate = float(rows["sampling_rate"])
    numbers = np.arange(round(PLAYED_S * rate))
    for at_s, count in PLAYED.items():
        numbers = numbers[(numbers < at_s * rate) | (numbers >= at_s * rate + count)]
    twice = np.flatnonzero(numbers == round(REPEATED_S * rate))[0]
    numbers = np.concatenate([numbers[: twice + 10], numbers[twice:]])
    ages_s = numbers / rate
    table = np.random.default_rng(0).normal(0, 10, (len(numbers), rows["num_rows"]))
    table[:, rows["package_num_channel"]] = numbers % MODULUS
    table[:, rows["eeg_channels"][0]] = numbers
    table[(ages_s >= NAN_S) & (ages_s < NAN_S + 0.1), rows["eeg_channels"][2]] = np.nan
    sent = np.where((ages_s >= LATE_S) & (ages_s < LATE_S + 0.5), LATE_S + 0.5, ages_s)
    table[:, rows["timestamp_channel"]] = 1.7e9 + np.maximum.accumulate(sent)
    np.savetxt(file, table[: round(seconds * rate)], fmt="%.6f", delimiter="\t")
    return sum(PLAYED.values())


def _session(stream: StreamSettings, seconds: float, begun: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return how many epochs stand after `seconds` of a marker every 0.2 s, and how many of them are wrong or moved.

    Wrong: a sample is missing or comes twice in it. Moved: it lies elsewhere than the others.
    A board that begins anew, as a file does that has come to its end, ends the session.

    Parameters
    ----------
    stream
        The board's stream.
    seconds
        How long.
    begun
        Called when the session has begun.
    """
    import pylsl

    name = f"markers-{uuid.uuid4().hex[:8]}"
    outlet, source = MarkerOutlet(name), LslSource(stream, MarkerSettings(name=name))
    pipeline = pipeline_for(FaultSpec("drop"), source.spec)
    closed: dict[int, Any] = {}
    holes, refused = [], 0
    begun()
    end, due, trial, newest = pylsl.local_clock() + seconds, pylsl.local_clock() + 2.0, 0, -1.0
    try:
        for item in source.events():
            now = pylsl.local_clock()
            number = float(item.samples[-1, 0]) if isinstance(item, Chunk) else newest
            if now > end or number < newest:
                break
            newest = number
            if now > due:
                outlet.send(Sent(due, "picture", f"p{trial}", {"trial": trial}))
                due, trial = due + 0.2, trial + 1
            for event in pipeline.push(item):
                if isinstance(event, Closed):
                    closed[event.trial] = event.epoch
                elif isinstance(event, Retracted):
                    del closed[event.trial]
                holes += [event.lost] if isinstance(event, Hole | Recount) else []
                refused += isinstance(event, Refused)
    finally:
        source.close()
        outlet.close()
    counted = {"refused": refused, "lost": sum(holes), "holes": holes}
    if not closed:
        return {"accepted": 0, "wrong": 0, "moved": 0} | counted
    rate = pipeline.rate_hz
    broken = [epoch for epoch in closed.values() if set(np.diff(epoch.samples[:, 0])) != {1.0}]
    first = np.array([epoch.samples[0, 0] for epoch in closed.values()], np.float64)
    taken = np.array([epoch.onset for epoch in closed.values()]) + pipeline.times_s[0] - first / rate
    # A line: a board that BrainFlow makes up or plays sleeps between packages, and is slow by what that costs.
    line = np.polyval(np.polyfit(first, taken - taken[0], 1), first) if len(first) > 2 else taken - taken[0]
    moved = int((np.abs(taken - taken[0] - line) > 1 / rate + TOLERANCE_S).sum())
    return {"accepted": len(closed), "wrong": len(broken), "moved": moved} | counted


def run(quick: bool = False) -> dict[str, Any]:
    """Measure each fault for each kind of board, and the live sessions; the synthetic board's takes a minute.

    Parameters
    ----------
    quick
        Whether the session is shorter, and only one kind of board is measured.
    """
    ways = {"dongle": WAYS["dongle"]} if quick else WAYS
    rows = [{"way": way.about} | one(text, way) for way in ways.values() for text in FAULTS_OF_BOARDS]
    live = [dropping(15.0 if quick else 60.0), playing()]
    keys = ("way", "name", "delay_s", "stamp_error_ms", "accepted", "wrongly_accepted", "retracted", "refused", "by")
    print_table(
        "Faults at 20 s of boards, 250 Hz, a marker every 0.2 s", keys, [[row[k] for k in keys] for row in rows]
    )
    counted = ("board", "dropped", "lost", "accepted", "wrong", "moved", "refused")
    print_table("Live sessions", counted, [[row[k] for k in counted] for row in live])
    return {"faults": rows, "live": live, "machine": machine()}


if __name__ == "__main__":
    run()
