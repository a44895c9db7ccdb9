"""Who paints what: the session's book of requests that workers on other machines have, lost or finished.

Pure: time and news come in as arguments, orders go out. The session alone knows what was delivered, so a request may
be sent and painted twice after a fault, yet each of its pictures is delivered at most once, and its final one always
unless the request is given up, which is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realtime.rendering.frames import RenderRequest, RenderState

if TYPE_CHECKING:
    from realtime.rendering.wire import Contract, WorkerState

SILENT_S = 2.0
"""Silence after which a worker, or a request that no worker says it has, counts as lost."""
AHEAD = 2
"""Requests a worker has at once: one it paints and one that waits there."""
BACKLOG = 8
"""Requests that are not finished; one more abandons the oldest that no worker has."""
MAX_TRIES = 3
"""Workers that may die over one request."""


@dataclass(frozen=True)
class Order:
    """Send a request to one worker, or to whichever of the group takes it where `worker` is None."""

    number: int
    request: RenderRequest
    worker: str | None


@dataclass(frozen=True)
class GivenUp:
    """A request that will not be painted, and why."""

    number: int
    text: str


@dataclass
class _Task:
    number: int
    request: RenderRequest
    sent: bool = False
    owner: str | None = None
    avoid: str | None = None
    directed: bool = False
    heard: float = 0.0
    step: int = 0
    tries: int = 1


@dataclass
class _Worker:
    state: WorkerState
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
    """

    contract: Contract
    run: str
    dropped: int = 0
    handed_over: int = 0
    _tasks: dict[int, _Task] = field(default_factory=dict)
    _workers: dict[str, _Worker] = field(default_factory=dict)

    def submit(self, number: int, request: RenderRequest) -> list[GivenUp]:
        """Add a request, unless it is there already; numbers rise. Returns what was abandoned for it."""
        if number in self._tasks:
            return []
        self._tasks[number] = _Task(number, request)
        if len(self._tasks) <= max(BACKLOG, AHEAD * len(self._workers)):
            return []
        idle = next((task for task in self._tasks.values() if not task.sent), None)
        oldest = idle or next(iter(self._tasks.values()))
        self.dropped += 1
        return [self._give_up(oldest, "abandoned for newer ones")]

    def worker(self, state: WorkerState, now: float) -> None:
        """Take in what a worker says of itself."""
        self._workers[state.id] = _Worker(state, now)
        numbers = self._numbers(state)
        for task in self._tasks.values():
            if task.number in numbers:
                task.sent, task.owner, task.heard = True, state.id, now

    def gone(self, worker: str) -> None:
        """Take in that a worker is no more: what it had is sent to another at once."""
        self._workers.pop(worker, None)
        for task in self._tasks.values():
            if task.owner == worker:
                self._lose(task)

    def reconnected(self, now: float) -> None:
        """Take in that nobody could be heard until now: the silence is nobody's fault."""
        for task in self._tasks.values():
            task.heard = now
        for worker in self._workers.values():
            worker.heard = now

    def frame(self, number: int, worker: str, step: int, of: int, now: float) -> bool:
        """Take in a picture and return whether it is to be delivered: new, in order, of a request still open."""
        task = self._tasks.get(number)
        if task is None or of != task.request.steps or not task.step < step <= of:
            return False
        task.sent, task.owner, task.heard, task.step = True, worker, now, step
        if step == of:
            del self._tasks[number]
        return True

    def failed(self, number: int, text: str) -> list[GivenUp]:
        """Take in that a worker could not paint a request; another could not either."""
        task = self._tasks.get(number)
        return [] if task is None else [self._give_up(task, text)]

    def due(self, now: float, shared: bool) -> Iterator[Order | GivenUp]:
        """Yield what is to be done now.

        Parameters
        ----------
        now
            Seconds on any steady clock.
        shared
            Whether a request can be sent to a whole group of workers.
        """
        for task in list(self._tasks.values()):
            if task.sent and now - task.heard > SILENT_S:
                self._lose(task)
            if not task.sent and task.tries > MAX_TRIES:
                yield self._give_up(task, f"{MAX_TRIES} workers were lost over it")
        for task in self._tasks.values():
            if task.sent:
                continue
            load = self._load(now)
            if sum(load.values()) + self._unowned() >= AHEAD * len(load):
                return
            to_group = shared and not task.directed and all(self._workers[one].state.shared for one in load)
            task.sent, task.heard, task.directed = True, now, True
            if not to_group:
                task.owner = min(load, key=lambda one: (one == task.avoid, load[one]))
            yield Order(task.number, task.request, task.owner)

    def fit(self, now: float) -> list[str]:
        """Return the ids of the workers that can be used now."""
        return list(self._load(now))

    def state(self, now: float) -> RenderState:
        """Return how rendering is, in one line."""
        load = self._load(now)
        if load:
            count = f"{len(load)} worker{'s' if len(load) > 1 else ''}"
            if self._tasks:
                newest = next(reversed(self._tasks.values()))
                text = f"trial {newest.request.trial}: step {newest.step} of {newest.request.steps} ({count})"
                return RenderState("busy", text)
            return RenderState("ready", count)
        alive = [one.state for one in self._workers.values() if now - one.heard <= SILENT_S]
        for state in alive:
            if state.contract == self.contract:
                return RenderState("loading", f"worker {state.id}: {state.text}")
        for state in alive:
            unlike = "; ".join(self.contract.differences(state.contract))
            return RenderState("dead", f"worker {state.id} does not fit: {unlike}")
        lost = f"; {', '.join(self._workers)} is silent" if self._workers else ""
        return RenderState("dead", f"no worker; start one with 'perceptogram worker --broker URL'{lost}")

    def _numbers(self, state: WorkerState) -> set[int]:
        """Return the requests of this run that a worker has."""
        parts = (name.rpartition("/") for name in state.requests)
        return {int(number) for run, _, number in parts if run == self.run and number.isdecimal()}

    def _load(self, now: float) -> dict[str, int]:
        """Return how many requests each usable worker has."""
        usable: dict[str, int] = {}
        for name, worker in self._workers.items():
            able = worker.state.state in ("ready", "busy") and worker.state.contract == self.contract
            if able and now - worker.heard <= SILENT_S:
                usable[name] = sum(task.owner == name for task in self._tasks.values() if task.sent)
        return usable

    def _unowned(self) -> int:
        """Return how many requests went to the group and were not yet taken by anybody."""
        return sum(task.sent and task.owner is None for task in self._tasks.values())

    def _lose(self, task: _Task) -> None:
        task.avoid, task.owner, task.sent = task.owner, None, False
        task.tries += 1
        self.handed_over += 1

    def _give_up(self, task: _Task, text: str) -> GivenUp:
        del self._tasks[task.number]
        return GivenUp(task.number, f"trial {task.request.trial} is not painted: {text}")
