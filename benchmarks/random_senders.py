"""Senders drawn at random, every parameter continuous: how samples are packed, timestamped, held up and delivered.

They follow what is known of real devices: amplifiers that count, programs that timestamp when they push and let LSL
deduce the rest of a chunk, programs that poll on a timer, Bluetooth's connection events, Wi-Fi that is silent and then
delivers all at once, and clock offsets that LSL measures anew every 5 s. None of it knows how faults are detected.

A delay that is the same from the first sample to the last cannot be seen by anyone, so none is in the timestamps: late
senders are late by nothing at the least, and jitter that has no such floor is zero on average. Where delays are spread
evenly, as behind a radio's connection events, the least and the mean are as good a zero as one another: see `lag_s`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Times = NDArray[np.float64]

RATES_HZ = (50, 100, 125, 128, 128.03, 200, 250, 255.97, 256, 300, 500, 512, 600, 1000, 1024, 1200, 2000, 2048)
"""Nominal rates of amplifiers on sale, two of them as their own software reports them."""
PUSHES_HZ = 512.0
"""Chunks a second at most; programs that push more often are rare."""
LONGEST_CHUNK_S = 0.25
LONGEST_PACKET_S = 0.1
"""The same over Bluetooth."""
OFFSET_EVERY_S = 5.0
"""LSL measures the offset between two clocks every so often."""
FIRST_OFFSET_S = 1e-3
"""Largest error of the first measurement: it stays in every timestamp, unseen, until the next."""
LARGEST_OFFSET_S = 4e-3
MOST_PPM = 1200.0
"""A nominal rate is off by so much at most, drift and changes included."""
GAP_S = 2e-5
"""Between two packets that were held up together."""


@dataclass(frozen=True)
class RandomSender:
    """A device, the program that reads it and the network behind it.

    Attributes
    ----------
    rate_hz
        Nominal rate.
    rate_ppm
        Share by which samples come faster than that, in millionths.
    drift_ppm, drift_period_s
        Amplitude and period of a slow swing of the device's clock about it.
    packing
        How samples are sent together: ``"fixed"`` and ``"random"`` sizes of `size` on average, or what has come when a
        ``"timer"`` of `timer_s` seconds, overslept a little each time, fires.
    stamping
        ``"counter"``: each sample by the device's own count. ``"sample"``: each when it is read. ``"push"``: the last
        of a chunk when it is sent, the others deduced from the nominal rate. ``"radio"``: the same behind Bluetooth,
        which delivers at connection events `event_s` apart and repeats a share `repeated` of its packets at the next.
    jitter, jitter_s
        What is added to the times of reading or sending: ``"normal"`` (standard deviation), ``"exponential"`` (mean) or
        ``"correlated"`` (standard deviation, over `memory_s` seconds).
    tick_s
        Step of the clock that timestamps; 0 for none.
    transport_s, queue_s
        Least delay from sending to arrival, and mean of what is added to it at random.
    offset_s
        Standard deviation of the error with which the offset of the sender's clock is measured.
    stamps_late
        Whether a stall comes before the timestamps are made, and they are late by it, not after.
    whole_packets
        Whether losses take whole packets; otherwise packets are filled with what is left.
    cycle_s
        What arrives within so long is read together.
    """

    rate_hz: float
    rate_ppm: float
    drift_ppm: float
    drift_period_s: float
    packing: str
    size: int
    timer_s: float
    stamping: str
    event_s: float
    repeated: float
    jitter: str
    jitter_s: float
    memory_s: float
    tick_s: float
    transport_s: float
    queue_s: float
    offset_s: float
    stamps_late: bool
    whole_packets: bool
    cycle_s: float

    @property
    def blur_s(self) -> float:
        """What one timestamp may be off by; what is smaller nobody could see in it."""
        radio_s = self.event_s / 4 if self.stamping == "radio" else 0.0
        jitter_s = 0.0 if self.stamping == "counter" else self.jitter_s
        return max(jitter_s, self.tick_s / 2, self.offset_s, radio_s)

    @property
    def lag_s(self) -> float:
        """Mean of the delays that are spread evenly: a time axis may be late by it, or by less, if always the same."""
        if self.stamping == "radio":
            return self.event_s / 2
        return 0.5 / self.rate_hz if self.stamping == "push" and self.packing == "timer" else 0.0


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number from `low` to `high`, every magnitude as likely as any other."""
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def draw_sender(
    rng: np.random.Generator, offset_s: tuple[float, float] = (2e-5, 3e-4), *, drifts: bool = False
) -> RandomSender:
    """Return a sender whose clock offset is measured with an error of `offset_s`, from and to, in three of four cases.

    In the others it is on this machine. `drifts`: its clock swings by hundreds of ppm, not only by a few.
    """
    rate = float(rng.choice(RATES_HZ)) if rng.random() < 0.6 else round(log_uniform(rng, 50, 2048), 2)
    drift_ppm = log_uniform(rng, 100, 800) if drifts else log_uniform(rng, 0.1, 10)
    largest = log_uniform(rng, 100, MOST_PPM - drift_ppm) if rng.random() < 0.3 else rng.uniform(0, 60)
    stamping = str(rng.choice(("counter", "sample", "push", "radio"), p=(0.25, 0.15, 0.4, 0.2)))
    packing = "fixed" if stamping == "radio" else str(rng.choice(("fixed", "random", "timer"), p=(0.5, 0.25, 0.25)))
    longest_s = LONGEST_PACKET_S if stamping == "radio" else LONGEST_CHUNK_S
    low, high = max(1, math.ceil(rate / PUSHES_HZ)), max(1, min(64, int(longest_s * rate)))
    size = max(low, min(high, round(log_uniform(rng, low, high))))
    jitter = str(rng.choice(("exponential", "normal", "correlated"), p=(0.6, 0.2, 0.2)))
    jitter_s = log_uniform(rng, 2e-5, {"exponential": 4e-3, "normal": 2e-3, "correlated": 8e-4}[jitter])
    far = rng.random() < 0.75
    return RandomSender(
        rate_hz=rate,
        rate_ppm=float(rng.choice((-1, 1)) * largest),
        drift_ppm=drift_ppm,
        drift_period_s=rng.uniform(20, 120) if drifts else rng.uniform(60, 600),
        packing=packing,
        size=size,
        timer_s=log_uniform(rng, max(4e-3, 1 / PUSHES_HZ), 0.1),
        stamping=stamping,
        event_s=_connection_interval(rng, size / rate),
        repeated=log_uniform(rng, 0.01, 0.2),
        jitter=jitter,
        jitter_s=jitter_s,
        memory_s=log_uniform(rng, 0.05, 3.0),
        tick_s=log_uniform(rng, 1e-4, 3e-3) if stamping != "radio" and rng.random() < 0.15 else 0.0,
        transport_s=log_uniform(rng, 5e-5, 3e-2 if far else 5e-4),
        queue_s=log_uniform(rng, 2e-5, 3e-3 if far else 2e-4),
        offset_s=log_uniform(rng, *offset_s) if far else 0.0,
        stamps_late=stamping in ("sample", "radio") or (stamping == "push" and bool(rng.random() < 0.5)),
        whole_packets=packing != "timer" and bool(rng.random() < 0.5),
        cycle_s=log_uniform(rng, 5e-4, 5e-3) if rng.random() < 0.5 else 0.0,
    )


def _connection_interval(rng: np.random.Generator, packet_s: float) -> float:
    """Return a Bluetooth connection interval, shorter than `packet_s`, with which packets do not keep step.

    Where one to four packets nearly take a whole number of intervals, they are late by more and more for a minute,
    which no one can tell from a slow clock.
    """
    few = np.arange(1, 5)
    while True:
        event_s = log_uniform(rng, min(7.5e-3, packet_s / 3), min(3e-2, packet_s))
        intervals = few * packet_s / event_s
        if np.abs(intervals - np.round(intervals)).min() > 0.07:
            return event_s


def true_times(
    sender: RandomSender, seconds: float, rng: np.random.Generator, changes: dict[float, float], restarts: list[float]
) -> Times:
    """Return when each sample of `seconds` was taken, in seconds after the first.

    Parameters
    ----------
    sender
        Who takes them.
    seconds
        How long.
    rng
        For the phase of its drift.
    changes
        Change of its rate in ppm from each time on.
    restarts
        Times at which it is restarted: its samples go on with another phase, a quarter of a sample off at most.
    """
    count = round(seconds * sender.rate_hz)
    even = np.arange(count) / sender.rate_hz
    swing = np.sin(2 * np.pi * (even / sender.drift_period_s + rng.random()))
    ppm = sender.rate_ppm + sender.drift_ppm * swing
    for at_s, change in changes.items():
        ppm = ppm + change * (even >= at_s)
    periods = 1 / (sender.rate_hz * (1 + 1e-6 * ppm))
    times = np.concatenate([[0.0], np.cumsum(periods[:-1])])
    for at_s in restarts:
        times[even >= at_s] += rng.uniform(-0.25, 0.25) / sender.rate_hz
    return times


def pack(
    sender: RandomSender, true: Times, kept: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], Times]:
    """Return the numbers of the samples that are sent, where in them each packet ends, and when each is ready.

    A packet of a sender that loses whole packets is lost with any of its samples. The last, unfinished one is not sent.
    """
    timed = sender.packing == "timer"
    if timed:
        overslept = rng.exponential(log_uniform(rng, 5e-5, 1e-3), round(2 * true[-1] / sender.timer_s) + 2)
        fired = rng.uniform(0, sender.timer_s) + np.cumsum(sender.timer_s + overslept)
        packet = np.searchsorted(fired, true)
    else:
        fewest = 1 if sender.packing == "random" else sender.size
        sizes = rng.integers(fewest, 2 * sender.size - fewest, size=len(true) // fewest + 1, endpoint=True)
        packet = np.searchsorted(np.cumsum(sizes), np.arange(len(true)), side="right")
    if sender.whole_packets:
        kept = ~np.isin(packet, packet[~kept])
    numbers = np.flatnonzero(kept)
    packet = packet[numbers] if sender.whole_packets or timed else packet[: len(numbers)]
    ends = np.flatnonzero(np.diff(packet)) + 1
    return numbers[: ends[-1]], ends, fired[packet[ends - 1]] if timed else true[numbers[ends - 1]]


def jitter(sender: RandomSender, times: Times, rng: np.random.Generator) -> Times:
    """Return what the sender's jitter adds to readings at `times`."""
    from scipy.signal import lfilter

    if sender.jitter == "exponential":
        return rng.exponential(sender.jitter_s, len(times))
    noise: Times = rng.normal(0, sender.jitter_s, len(times))
    if sender.jitter == "correlated":
        kept = math.exp(-float(np.diff(times).mean()) / sender.memory_s)
        noise = np.asarray(lfilter([math.sqrt(1 - kept * kept)], [1, -kept], noise), np.float64)
    return noise


def in_turn(times: Times) -> Times:
    """Return `times` with nothing overtaking what was before it."""
    queue = GAP_S * np.arange(len(times))
    latest: Times = np.maximum.accumulate(times - queue)
    return latest + queue


def held(times: Times, stalls: Times) -> Times:
    """Return `times` with all that falls into one of the `stalls` ``[n, 2]``, from and to, at its end instead."""
    for start, stop in stalls.tolist():
        times = np.where((times >= start) & (times < stop), stop, times)
    return times


def timestamp(
    sender: RandomSender, taken: Times, ends: NDArray[np.int64], ready: Times, stalls: Times, rng: np.random.Generator
) -> tuple[Times, Times]:
    """Return the sender's timestamps of samples `taken`, and when it sends each packet.

    Parameters
    ----------
    sender
        Who timestamps.
    taken
        float64 ``[n]``, when its samples were taken.
    ends, ready
        Where in them each packet ends, and when it is complete.
    stalls
        float64 ``[k, 2]``, from and to: what is due meanwhile is held back.
    rng
        For its jitter.
    """
    stalls = stalls if sender.stamps_late else stalls[:0]
    if sender.stamping == "sample":
        read = taken + jitter(sender, taken, rng)
        read = in_turn(held(read, stalls)) if len(stalls) or sender.jitter == "exponential" else read
        return _ticks(sender, read), in_turn(np.maximum(read[ends - 1], ready))
    if sender.stamping == "counter":
        return _ticks(sender, taken.copy()), in_turn(ready + rng.exponential(3e-4, len(ends)))
    if sender.stamping == "radio":
        due = rng.uniform(0, sender.event_s)
        tries = rng.geometric(1 - sender.repeated, len(ends)) - 1
        sent = due + sender.event_s * (np.ceil((ready - due) / sender.event_s) + tries)
        sent = in_turn(sent + rng.exponential(1e-4, len(ends)))
    else:
        sent = ready + jitter(sender, ready, rng)
        sent = in_turn(sent) if sender.jitter == "exponential" else sent
    sent = in_turn(held(sent, stalls)) if len(stalls) else sent
    lengths = np.diff(ends, prepend=0)
    behind = np.repeat(ends, lengths) - 1 - np.arange(ends[-1])
    return np.repeat(_ticks(sender, sent), lengths) - behind / sender.rate_hz, in_turn(np.maximum(sent, ready))


def _ticks(sender: RandomSender, times: Times) -> Times:
    ticks: Times = np.round(times / sender.tick_s) * sender.tick_s if sender.tick_s else times
    return ticks


def deliver(sender: RandomSender, sent: Times, stalls: Times, rng: np.random.Generator) -> Times:
    """Return when packets that are `sent` arrive; the network stalls where timestamps are made before it."""
    arrived = sent + sender.transport_s + rng.exponential(sender.queue_s, len(sent))
    return in_turn(held(in_turn(arrived), stalls[:0] if sender.stamps_late else stalls))


def clock_offsets(sender: RandomSender, arrived: Times, rng: np.random.Generator) -> Times:
    """Return the error of the clock offset that is applied to what has `arrived`: one value for 5 s each."""
    measured = ((arrived + rng.uniform(0, OFFSET_EVERY_S)) // OFFSET_EVERY_S).astype(np.int64)
    errors = rng.normal(0, sender.offset_s, int(measured[-1]) + 1).clip(-LARGEST_OFFSET_S, LARGEST_OFFSET_S)
    errors[measured[0]] = errors[measured[0]].clip(-FIRST_OFFSET_S, FIRST_OFFSET_S)
    applied: Times = errors[measured]
    return applied
