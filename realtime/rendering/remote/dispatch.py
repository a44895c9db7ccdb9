"""Who paints what: the session's book of requests that workers on other machines have, lost or finished.

The latest wins: only the newest request waits, it goes to a worker that has nothing of this session to paint, and no
picture is delivered after one of a newer request. The newest request always ends in its final picture, delivered once,
or is given up, which is said.

Pure: time and news come in as arguments, orders go out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime.mqtt.foreign_text import one_line
from realtime.rendering.messages import RenderRequest, RenderState
from realtime.rendering.remote.wire import proof

if TYPE_CHECKING:
    from realtime.rendering.contract import Contract
    from realtime.rendering.remote.wire import Picture, WorkerState

SILENT_S = 2.0
"""Seconds of silence after which a worker, or a request that no worker says it has, counts as lost."""
FORGET_S = 30.0
"""Seconds of silence after which a worker's name is forgotten."""
MAX_TRIES = 3
"""Workers that may die over one request."""
MAX_WORKERS = 256
MAX_STRANGERS = 64
"""Names that are kept of workers that cannot be used."""


@dataclass(frozen=True)
class Order:
    """Send a request to a worker, with the key that its pictures must prove to know."""

    number: int
    request: RenderRequest
    key: str
    worker: str


@dataclass(frozen=True)
class GivenUp:
    """A request that will not be painted, and why; that newer ones came is nobody's fault."""

    number: int
    text: str
    newer: bool = False


@dataclass
class _Task:
    number: int
    request: RenderRequest
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    owner: str | None = None
    avoid: str | None = None
    heard: float = 0.0
    step: int = 0
    tries: int = 1


@dataclass
class _Worker:
    """A worker that fits: how many requests of other sessions it has, and which of this one (whether begun)."""

    state: WorkerState
    heard: float
    others: int = 0
    ours: dict[int, bool] = field(default_factory=dict)


@dataclass
class _Stranger:
    """A worker that cannot be used."""

    why: str
    heard: float


@dataclass
class Dispatch:
    """The book.

    Attributes
    ----------
    contract
        What a worker must agree on.
    run
        Name of this run of the session, which stands in its requests' names.
    dropped
        Requests abandoned for newer ones.
    handed_over
        Requests that were taken from a worker that was lost.
    remarks
        What people should know and was not told yet, one line each; whoever tells it takes it out.
    """

    contract: Contract
    run: str
    dropped: int = 0
    handed_over: int = 0
    remarks: list[str] = field(default_factory=list)
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _workers: dict[str, _Worker] = field(default_factory=dict)
    _strangers: dict[str, _Stranger] = field(default_factory=dict)
    _crowded: bool = False
    _shown: int = 0

    def submit(self, number: int, request: RenderRequest) -> list[GivenUp]:
        """Add a request, unless it is there already; numbers rise. Returns what was abandoned for it."""
        if number in self._tasks:
            return []
        waiting = [task for task in self._tasks.values() if task.owner is None]
        self._tasks[number] = _Task(number, request)
        return [self._abandon(task) for task in waiting]

    def worker(self, state: WorkerState, now: float) -> None:
        """Take in what a worker says of itself."""
        unlike = self.contract.differences(state.contract)
        if unlike:
            self.stranger(state.id, "; ".join(unlike), now)
            return
        known = self._workers.get(state.id)
        if known is None and len(self._workers) >= MAX_WORKERS:
            self.stranger(state.id, f"there are {MAX_WORKERS} already", now)
            return
        self._strangers.pop(state.id, None)
        mine = [(number, begun, shown) for run, number, begun, shown in state.claims() if run == self.run]
        claimed = {number: begun for number, begun, _ in mine}
        newest = max(claimed, default=0)
        # orders that were on their way when the worker said this
        sent = () if known is None else (number for number in known.ours if number > newest and number in self._tasks)
        ours = claimed | {number: False for number in sent if self._tasks[number].owner == state.id}
        self._workers[state.id] = _Worker(state, now, len(state.requests) - len(mine), ours)
        for number, _, shown in mine:
            task = self._tasks.get(number)
            if task is not None and task.owner in (None, state.id) and shown == proof(task.key, state.id, "has"):
                task.owner, task.heard = state.id, now

    def stranger(self, worker: str, why: str, now: float) -> None:
        """Take in that a worker cannot be used, and why; say so once for each reason.

        Parameters
        ----------
        worker
            The worker's name.
        why
            The reason, for people; said again only when it changes.
        now
            Time in seconds.
        """
        self.gone(worker, keep=True)
        known = self._strangers.get(worker)
        if known is None and len(self._strangers) >= MAX_STRANGERS:
            if not self._crowded:
                self._crowded = True
                self.remarks.append(f"more than {MAX_STRANGERS} workers that do not fit; the others are not looked at")
            return
        if known is None or known.why != why:
            self.remarks.append(f"worker {worker} is not used: {why}")
        self._strangers[worker] = _Stranger(why, now)

    def gone(self, worker: str, keep: bool = False) -> None:
        """Take in that a worker is no more: what it had is sent to another at once."""
        if not keep:
            self._strangers.pop(worker, None)
        if self._workers.pop(worker, None) is not None:
            for task in self._tasks.values():
                if task.owner == worker:
                    self._lose(task)

    def reconnected(self, now: float) -> None:
        """Take in that nobody could be heard until now: the silence is nobody's fault."""
        for task in self._tasks.values():
            task.heard = now
        for worker in self._workers.values():
            worker.heard = now
        for stranger in self._strangers.values():
            stranger.heard = now

    def wanted(self, picture: Picture) -> RenderRequest | None:
        """Return the request of a picture that is new, of a request still open, and from the worker that has it."""
        task = self._tasks.get(picture.request)
        if task is None or task.owner != picture.worker or not task.step < picture.step <= task.request.steps:
            return None
        return task.request if picture.proof == proof(task.key, picture.worker, str(picture.step)) else None

    def frame(self, number: int, step: int, now: float) -> tuple[bool, list[GivenUp]]:
        """Take in a picture that is `wanted`; return whether to deliver it, and what was abandoned for it.

        A preview is held back while the picture before it is still on its way to its end.

        Parameters
        ----------
        number
            The request that was painted.
        step
            Step of the picture, from 1; the request's last one is the final picture.
        now
            Time in seconds.
        """
        task = self._tasks.get(number)
        if task is None:
            return False, []  # abandoned while the picture was decoded
        task.heard, task.step = now, step
        final = step == task.request.steps
        if (worker := self._workers.get(task.owner or "")) is not None:
            worker.ours[number] = True
            if final:
                del worker.ours[number]
        if not final and number != self._shown and self._shown in self._tasks:
            return False, []
        self._shown = number
        if final:
            del self._tasks[number]
        return True, [self._abandon(one) for one in list(self._tasks.values()) if one.number < number]

    def failed(self, number: int, worker: str, shown: str, text: str) -> list[GivenUp]:
        """Take in that the worker which has a request could not paint it; another could not either.

        Parameters
        ----------
        number
            The request.
        worker
            The worker that reports it.
        shown
            Its proof, which must be that of the worker that was asked.
        text
            What went wrong, for people.
        """
        task = self._tasks.get(number)
        if task is None or task.owner != worker or shown != proof(task.key, worker, "failed"):
            return []
        return [self._give_up(task, text)]

    def due(self, now: float) -> Iterator[Order | GivenUp]:
        """Yield what is to be done now."""
        self._forget(now)
        for task in list(self._tasks.values()):
            if task.owner is not None and now - task.heard > SILENT_S:
                self._lose(task)
        newest = max(self._tasks, default=0)
        for task in list(self._tasks.values()):
            if task.owner is None and task.number < newest:
                yield self._abandon(task)
        if newest and self._tasks[newest].owner is None:
            yield from self._send(self._tasks[newest], now)

    def _send(self, newest: _Task, now: float) -> Iterator[Order | GivenUp]:
        if newest.tries > MAX_TRIES:
            yield self._give_up(newest, f"{MAX_TRIES} workers were lost over it")
            return
        name = self._idlest(newest, now)
        if name is not None:
            self.handed_over += newest.avoid is not None
            newest.owner, newest.heard, newest.avoid = name, now, None
            self._workers[name].ours[newest.number] = False
            yield Order(newest.number, newest.request, newest.key, name)

    def fit(self, now: float) -> list[str]:
        """Return the ids of the workers that can be used now."""
        there = (one for one in self._workers.values() if now - one.heard <= SILENT_S)
        return [one.state.id for one in there if one.state.state in ("ready", "busy")]

    def state(self, now: float) -> RenderState:
        """Return how rendering is, in one line."""
        fit = self.fit(now)
        if fit:
            count = f"{len(fit)} worker{'s' if len(fit) > 1 else ''}"
            if self._tasks:
                newest = next(reversed(self._tasks.values()))
                text = f"trial {newest.request.trial}: step {newest.step} of {newest.request.steps} ({count})"
                return RenderState("busy", text)
            return RenderState("ready", count)
        for one in self._workers.values():
            if now - one.heard <= SILENT_S:
                return RenderState("loading", f"worker {one.state.id}: {one.state.text}")
        if any(now - one.heard <= SILENT_S for one in self._strangers.values()):
            return RenderState("dead", "no worker that can be used")
        lost = f"; {', '.join(list(self._workers)[:3])} is silent" if self._workers else ""
        return RenderState("dead", f"no worker; start one with 'perceptogram worker --broker URL'{lost}")

    def _idlest(self, task: _Task, now: float) -> str | None:
        """Return the worker with the least to do, or None where each has a request of ours begun.

        A request of ours that waits at a worker is replaced there, so that the newest keeps its place among the
        sessions; it is left for a worker that has nothing to do at all.
        """

        def rank(name: str) -> tuple[bool, bool, int, bytes]:
            worker = self._workers[name]
            load = worker.others + sum(worker.ours.values())
            waits = False in worker.ours.values()
            # sessions that see the same workers idle choose different ones
            chance = hashlib.sha256(f"{self.run}/{name}".encode()).digest()
            return name == task.avoid, load > 0 and not waits, load, chance

        ours = {name: self._workers[name].ours.values() for name in self.fit(now)}
        return min((name for name, begun in ours.items() if not begun or False in begun), key=rank, default=None)

    def _forget(self, now: float) -> None:
        for book in (self._workers, self._strangers):
            for name in [name for name, one in book.items() if now - one.heard > FORGET_S]:
                del book[name]

    def _lose(self, task: _Task) -> None:
        worker = self._workers.get(task.owner or "")
        if worker is not None:
            worker.ours.pop(task.number, None)
        task.avoid, task.owner = task.owner, None
        task.tries += 1

    def _abandon(self, task: _Task) -> GivenUp:
        self.dropped += 1
        return self._give_up(task, "abandoned for newer ones", newer=True)

    def _give_up(self, task: _Task, text: str, newer: bool = False) -> GivenUp:
        del self._tasks[task.number]
        return GivenUp(task.number, f"trial {task.request.trial} is not painted: {one_line(text)}", newer)
