"""What is lost, held up or stepped in a random stream, by family: each draws its faults from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.random_senders import MOST_PPM, OFFSET_EVERY_S, RandomSender, draw_sender, log_uniform

SETTLED_S = 10.0
"""Faults come no sooner, but in the family of those that do."""
END_S = 8.0
"""Nor later than this before the end: whoever needs a while to see them shall have it."""
KINDS = ("loss", "stall", "step", "restart", "rate")


@dataclass(frozen=True)
class RandomFault:
    """One thing that goes wrong.

    Attributes
    ----------
    kind
        ``"loss"``: samples are lost. ``"stall"``: nothing is sent, or delivered, and then all at once; no sample is
        lost. ``"burst"``: the same over Wi-Fi, where it is usual. ``"step"``: the clock that timestamps steps.
        ``"restart"``: the device is switched off and on. ``"rate"``: its rate changes. ``"nan"``: a channel has no
        values. ``"repeat"``: packets come twice.
    at_s, for_s
        From when, in seconds after the first sample, and how long.
    value
        Samples lost, seconds stepped, or change of the rate in ppm.
    """

    kind: str
    at_s: float
    for_s: float = 0.0
    value: float = 0.0


@dataclass(frozen=True)
class Family:
    """Streams of one kind.

    Attributes
    ----------
    about
        In words.
    faults
        Draws the faults of a stream of a sender that lasts so many seconds.
    seconds
        How long a stream lasts.
    sender
        What is special about its senders.
    """

    about: str
    faults: Callable[[np.random.Generator, RandomSender, float], list[RandomFault]]
    seconds: float = 60.0
    sender: Callable[[np.random.Generator], RandomSender] = draw_sender


def draw_fault(rng: np.random.Generator, kind: str, at_s: float, sender: RandomSender) -> RandomFault:
    """Return a fault of this kind that begins at `at_s`.

    Losses are at least as long as the sender's blur and steps three times that, 5 ms at least: less, nobody could see.
    """
    if kind == "loss":
        return _loss(rng, at_s, sender, 0.5 if rng.random() < 0.9 else 1.5)
    if kind == "stall":
        return RandomFault(kind, at_s, log_uniform(rng, 0.1, 4.0))
    if kind == "burst":
        return RandomFault(kind, at_s, log_uniform(rng, 0.05, 0.8))
    if kind == "step":
        return RandomFault(kind, at_s, 0.0, _sign(rng) * log_uniform(rng, max(5e-3, 3 * sender.blur_s), 2.0))
    if kind == "restart":
        return RandomFault(kind, at_s, log_uniform(rng, 0.2, 3.0))
    if kind == "rate":
        towards = -np.sign(sender.rate_ppm) or _sign(rng)
        return RandomFault(kind, at_s, 0.0, float(towards * log_uniform(rng, 100, MOST_PPM - sender.drift_ppm)))
    return RandomFault(kind, at_s, log_uniform(rng, 0.02, 0.5))


def _loss(rng: np.random.Generator, at_s: float, sender: RandomSender, longest_s: float) -> RandomFault:
    least = max(1, int(np.ceil(sender.blur_s * sender.rate_hz)))
    count = round(log_uniform(rng, least, max(least + 1, longest_s * sender.rate_hz)))
    return RandomFault("loss", at_s, count / sender.rate_hz, count)


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice((-1.0, 1.0)))


def _when(rng: np.random.Generator, seconds: float) -> float:
    begin_s = min(SETTLED_S, seconds / 3)
    return float(rng.uniform(begin_s, max(begin_s, seconds - END_S)))


def _clean(*_: Any) -> list[RandomFault]:
    return []


def _single(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    return [draw_fault(rng, str(rng.choice(KINDS)), _when(rng, seconds), sender)]


def _mixed(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    """Return two or three faults, each 0.05 to 2 s after the one before has begun."""
    at_s, faults = _when(rng, seconds - 4), list[RandomFault]()
    for _ in range(rng.integers(2, 4)):
        faults.append(draw_fault(rng, str(rng.choice(KINDS)), at_s, sender))
        at_s += log_uniform(rng, 0.05, 2.0)
    return faults


def _lost_in_a_stall(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    at_s = _when(rng, seconds - 4)
    stall = RandomFault("stall", at_s, log_uniform(rng, 0.1, 4.0))
    return [stall] + [_loss(rng, at_s + rng.uniform(0, stall.for_s), sender, 0.5) for _ in range(rng.integers(1, 4))]


def _at_the_start(rng: np.random.Generator, sender: RandomSender, _: float) -> list[RandomFault]:
    kinds = rng.choice(KINDS, size=rng.integers(1, 3))
    return [draw_fault(rng, str(kind), rng.uniform(0.2, 5.0), sender) for kind in kinds]


def _steps(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    """Return one to three steps; one in four is undone when LSL measures the offset anew."""
    faults = list[RandomFault]()
    for _ in range(rng.integers(1, 4)):
        step = draw_fault(rng, "step", _when(rng, seconds), sender)
        faults.append(step)
        if rng.random() < 0.25:
            faults.append(RandomFault("step", step.at_s + rng.uniform(0.2, OFFSET_EVERY_S), 0.0, -step.value))
    return faults


def _losses(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    """Return two to eight losses within a second."""
    at_s = _when(rng, seconds)
    return [_loss(rng, at_s + rng.uniform(0, 1.0), sender, 0.1) for _ in range(rng.integers(2, 9))]


def _bursts(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    """Return silences of 50 to 800 ms, every 3 to 20 s on average."""
    gaps_s = rng.exponential(log_uniform(rng, 3.0, 20.0), round(seconds))
    times = [at_s for at_s in np.cumsum(gaps_s).tolist() if at_s < seconds - END_S]
    return [draw_fault(rng, "burst", at_s, sender) for at_s in times]


def _values(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    kinds = ["nan", "repeat", *rng.choice(("nan", "repeat"), size=rng.integers(0, 3)).tolist()]
    return [draw_fault(rng, kind, _when(rng, seconds), sender) for kind in kinds]


def _anything(rng: np.random.Generator, sender: RandomSender, seconds: float) -> list[RandomFault]:
    """Return up to six faults of any kind at any time, bursts beneath them in one of four streams."""
    kinds = rng.choice((*KINDS, "nan", "repeat"), size=rng.integers(0, 7)).tolist()
    faults = [draw_fault(rng, kind, rng.uniform(0.2, seconds - END_S), sender) for kind in kinds]
    return faults + (_bursts(rng, sender, seconds) if rng.random() < 0.25 else [])


def _over_a_radio(rng: np.random.Generator) -> RandomSender:
    return draw_sender(rng, (3e-4, 2e-3))


def _drifting(rng: np.random.Generator) -> RandomSender:
    return draw_sender(rng, drifts=True)


def _any_sender(rng: np.random.Generator) -> RandomSender:
    return draw_sender(rng, (2e-5, 2e-3), drifts=bool(rng.random() < 0.2))


FAMILIES = {
    "clean": Family("nothing happens; clock offsets good to 0.3 ms", _clean, 300.0),
    "clean-radio": Family("nothing happens; clock offsets good to 0.3 to 2 ms", _clean, 300.0, _over_a_radio),
    "single": Family("one loss, stall, clock step, restart or change of rate", _single),
    "mixed": Family("two or three of these within seconds", _mixed),
    "stall-losses": Family("one to three losses inside a stall", _lost_in_a_stall),
    "start": Family("one or two faults in the first 5 s", _at_the_start),
    "steps": Family("one to three clock steps of 5 ms to 2 s", _steps),
    "losses": Family("two to eight losses within a second", _losses),
    "drift": Family("the device's clock swings by 100 to 800 ppm; nothing else", _clean, 60.0, _drifting),
    "wifi": Family("silences of 50 to 800 ms, then all at once", _bursts),
    "nan-repeats": Family("missing values, and packets that come twice", _values),
    "any": Family("up to six faults of any kind at any time, any sender", _anything, 60.0, _any_sender),
}
"""Every kind of stream, in the order of the tables."""
