"""Whoever listens to a session hears all of it while they listen, and costs nothing once they have stopped."""

import asyncio
import threading
import weakref

import numpy as np
import pytest

from perceptogram.live.listening import Listeners
from realtime.decoding.evidence import Percept
from realtime.rendering.messages import Frame

CAPACITIES = {Percept: 5, Frame: 2}


def percept(trial):
    return Percept(trial, "p0", np.zeros(4, np.float32), 1, None, ())


def frame(trial):
    return Frame(trial, 1, 1, np.zeros((2, 2, 3), np.uint8), {}, trial)


def tell_later(listeners, *items):
    thread = threading.Thread(target=lambda: [listeners.tell(item) for item in items] + [listeners.end()])
    thread.start()
    return thread


def test_a_plain_loop_hears_its_kind_until_the_end():
    listeners = Listeners(CAPACITIES)
    heard = listeners.plain(Percept)
    thread = tell_later(listeners, percept(1), frame(1), percept(2))
    assert [one.trial for one in heard] == [1, 2]
    thread.join()
    assert list(listeners.plain(Percept)) == [], "nothing follows an end"


def test_an_asynchronous_loop_hears_its_kind_until_the_end():
    listeners = Listeners(CAPACITIES)

    async def listen():
        frames, percepts = listeners.awaited(Frame), listeners.awaited(Percept)
        thread = tell_later(listeners, percept(1), frame(2), percept(3))
        found = [one.trial async for one in frames], [one.trial async for one in percepts]
        thread.join()
        return found

    assert asyncio.run(listen()) == ([2], [1, 3])


@pytest.mark.parametrize("kind", ["plain", "awaited"])
def test_a_loop_that_ends_early_is_forgotten_with_all_that_waited_for_it(kind):
    listeners = Listeners(CAPACITIES)

    async def listen_once():
        item = percept(2)
        heard = getattr(listeners, kind)(Percept)
        listeners.tell(percept(1))
        listeners.tell(item)
        if kind == "plain":
            for _ in heard:
                break
        else:
            async for _ in heard:
                break
        assert len(listeners) == 1
        return weakref.ref(item)

    seen = asyncio.run(listen_once())
    assert len(listeners) == 0
    assert seen() is None
    listeners.tell(percept(3))
    listeners.end()


def test_one_that_never_began_is_forgotten_too():
    listeners = Listeners(CAPACITIES)
    listeners.plain(Percept)
    assert len(listeners) == 0


def test_a_listener_that_does_not_keep_up_loses_the_oldest():
    listeners = Listeners(CAPACITIES)
    heard, pictures = listeners.plain(Percept), listeners.plain(Frame)
    for trial in range(100):
        listeners.tell(percept(trial))
        listeners.tell(frame(trial))
    listeners.end()
    assert [one.trial for one in heard] == [95, 96, 97, 98, 99]
    assert [one.trial for one in pictures] == [98, 99]


def test_an_ended_asyncio_loop_does_not_disturb_the_session():
    listeners = Listeners(CAPACITIES)

    async def listen():
        return listeners.awaited(Percept)

    kept = asyncio.run(listen())
    listeners.tell(percept(1))
    listeners.end()
    assert kept is not None
