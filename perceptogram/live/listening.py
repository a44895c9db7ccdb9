"""Who listens to a session: iterators that hear what it says from now on, each for as long as somebody holds it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Queue(Generic[T]):
    """What one listener has not taken yet; the oldest goes first where it does not keep up."""

    def __init__(self, kind: type[T], capacity: int, news: Callable[[], object]) -> None:
        self.kind = kind
        self.items: deque[T] = deque(maxlen=capacity)
        self.over = False
        self.news = news


class Heard(Iterator[T]):
    """Items for a plain loop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.queue: _Queue[T]

    def tell(self) -> None:
        """Say that something came, from any thread."""
        with self._changed:
            self._changed.notify_all()

    def __next__(self) -> T:
        queue = self.queue
        with self._changed:
            self._changed.wait_for(lambda: queue.items or queue.over)
            if not queue.items:
                raise StopIteration
            return queue.items.popleft()


class HeardAsync(AsyncIterator[T]):
    """Items for ``async for``, in the loop in which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self.queue: _Queue[T]

    def tell(self) -> None:
        """Say that something came, from any thread."""
        with contextlib.suppress(RuntimeError):  # the script's loop may have ended before the session
            self._loop.call_soon_threadsafe(self._news.set)

    async def __anext__(self) -> T:
        while True:
            self._news.clear()
            if self.queue.items:
                return self.queue.items.popleft()
            if self.queue.over:
                raise StopAsyncIteration
            await self._news.wait()


class Listeners:
    """All listeners of a session. One that nobody holds any more is forgotten, so that no queue fills for ever.

    Parameters
    ----------
    capacities
        How many items of each kind wait for a listener that does not keep up; older ones are dropped.
    """

    def __init__(self, capacities: dict[type, int]) -> None:
        self._capacities = capacities
        self._lock = threading.RLock()  # a listener may be forgotten, by the garbage collector, while one is told
        self._queues: dict[int, _Queue[Any]] = {}
        self._over = False

    def __len__(self) -> int:
        return len(self._queues)

    def plain(self, kind: type[T]) -> Iterator[T]:
        """Return an iterator over the items of a kind from now on."""
        heard = Heard[T]()
        self._add(kind, heard)
        return heard

    def awaited(self, kind: type[T]) -> AsyncIterator[T]:
        """Return an asynchronous iterator over the items of a kind from now on."""
        heard = HeardAsync[T]()
        self._add(kind, heard)
        return heard

    def tell(self, item: object) -> None:
        """Hand `item` to whoever listens to its kind, without waiting."""
        with self._lock:
            for queue in list(self._queues.values()):
                if isinstance(item, queue.kind):
                    queue.items.append(item)
                    queue.news()

    def end(self) -> None:
        """Say that nothing follows: iterators end once their items are taken."""
        with self._lock:
            self._over = True
            for queue in list(self._queues.values()):
                queue.over = True
                queue.news()

    def _add(self, kind: type[T], heard: Heard[T] | HeardAsync[T]) -> None:
        weak = weakref.WeakMethod(heard.tell)
        queue = _Queue(kind, self._capacities[kind], lambda: (tell := weak()) and tell())
        heard.queue = queue
        with self._lock:
            queue.over = self._over
            if not self._over:
                self._queues[id(queue)] = queue
                weakref.finalize(heard, self._queues.pop, id(queue), None).atexit = False
