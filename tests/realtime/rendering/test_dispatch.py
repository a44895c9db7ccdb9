import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime.bundle import EmbeddingSpace
from realtime.rendering.dispatch import AHEAD, BACKLOG, MAX_TRIES, SILENT_S, Dispatch, GivenUp, Order
from realtime.rendering.frames import RenderRequest
from realtime.rendering.wire import Contract, WorkerState

SPACE = EmbeddingSpace("tiny", "random", 8)
CONTRACT = Contract(SPACE, "embedded", "1.0")
RUN = "abc123"


def request(trial, steps=2):
    return RenderRequest(trial, np.zeros(SPACE.dims, np.float32), 0, steps)


def state(worker, *numbers, kind="ready", contract=CONTRACT, shared=True):
    return WorkerState(worker, kind, "", contract, shared, tuple(f"{RUN}/{number}" for number in numbers))


def book(*workers, now=0.0):
    dispatch = Dispatch(CONTRACT, RUN)
    for worker in workers:
        dispatch.worker(state(worker), now)
    return dispatch


def orders(dispatch, now=0.0, shared=False):
    return [(one.number, one.worker) for one in dispatch.due(now, shared) if isinstance(one, Order)]


def test_load_is_shared_and_bounded():
    dispatch = book("a", "b")
    for number in range(1, 6):
        dispatch.submit(number, request(number))
    assert orders(dispatch) == [(1, "a"), (2, "b"), (3, "a"), (4, "b")]
    assert orders(dispatch) == []
    assert dispatch.frame(2, "b", 1, 2, 0.1)
    assert dispatch.frame(2, "b", 2, 2, 0.1)
    assert orders(dispatch) == [(5, "b")]


def test_group_takes_what_is_sent_to_all():
    dispatch = book("a", "b")
    for number in (1, 2):
        dispatch.submit(number, request(number))
    assert orders(dispatch, shared=True) == [(1, None), (2, None)]
    dispatch.worker(state("b", 1, 2), 0.1)
    dispatch.gone("b")
    assert orders(dispatch, 0.2, shared=True) == [(1, "a"), (2, "a")], "after a fault it is told to one worker"


def test_one_worker_that_hears_no_group_means_telling_each():
    dispatch = book("a")
    dispatch.worker(state("b", shared=False), 0.0)
    dispatch.submit(1, request(1))
    assert orders(dispatch, shared=True) == [(1, "a")]


def test_workers_that_do_not_fit_are_never_asked():
    other = Contract(EmbeddingSpace("ViT-H-14", "laion2b_s32b_b79k", 8), "embedded", "2.0")
    dispatch = book()
    dispatch.worker(state("a", contract=other), 0.0)
    dispatch.submit(1, request(1))
    assert orders(dispatch) == []
    told = dispatch.state(0.0)
    assert told.kind == "dead"
    assert "software version 2.0 where 1.0 is needed" in told.text
    assert "ViT-H-14" in told.text
    assert CONTRACT.key != other.key


def test_silent_request_goes_to_another():
    dispatch = book("a", "b")
    dispatch.submit(1, request(1))
    assert orders(dispatch, 0.0) == [(1, "a")]
    for now in (0.5, 1.0, 1.5, 2.0, 2.4):
        dispatch.worker(state("a"), now)
        dispatch.worker(state("b"), now)
        assert orders(dispatch, now) == ([] if now <= SILENT_S else [(1, "b")])


def test_request_that_kills_workers_is_given_up():
    dispatch = book("a")
    dispatch.submit(1, request(7))
    for life in range(MAX_TRIES):
        dispatch.worker(state("a", 1) if life else state("a"), float(life))
        list(dispatch.due(float(life), False))
        dispatch.worker(state("a", 1), float(life))
        dispatch.gone("a")
    (given_up,) = dispatch.due(9.0, False)
    assert given_up == GivenUp(1, f"trial 7 is not painted: {MAX_TRIES} workers were lost over it")


def test_newest_are_kept():
    dispatch = book()
    lost = [one.number for number in range(1, BACKLOG + 4) for one in dispatch.submit(number, request(number))]
    assert lost == [1, 2, 3]
    assert dispatch.dropped == 3


def test_silence_while_the_broker_was_away_is_nobodys_fault():
    dispatch = book("a")
    dispatch.submit(1, request(1))
    assert orders(dispatch) == [(1, "a")]
    dispatch.reconnected(60.0)
    assert list(dispatch.due(60.0 + SILENT_S, False)) == []


steps = st.lists(
    st.tuples(
        st.sampled_from(["submit", "beat", "paint", "paint", "lose", "die", "freeze", "cut"]), st.sampled_from("abc")
    ),
    max_size=60,
)


class World:
    """Workers that die, freeze, lose messages and say things twice; time passes with every step."""

    def __init__(self, shared):
        self.dispatch = Dispatch(CONTRACT, RUN)
        self.shared = shared
        self.now = 0.0
        self.has = {}
        self.frozen = set()
        self.asked = 0
        self.finals = []
        self.lost = []
        self.at_once = 0

    def settle(self):
        for order in list(self.dispatch.due(self.now, self.shared)):
            if isinstance(order, GivenUp):
                self.lost.append(order.number)
                continue
            fit = self.dispatch.fit(self.now)
            worker = order.worker or sorted(self.has)[order.number % len(self.has)]
            assert order.worker is None or order.worker in fit
            if worker in self.has and order.number not in self.has[worker]:
                self.has[worker].append(order.number)

    def do(self, what, worker):
        self.now += 0.3
        match what:
            case "submit":
                self.asked += 1
                self.lost += [one.number for one in self.dispatch.submit(self.asked, request(self.asked))]
            case "beat":
                self.frozen.discard(worker)
                self.has.setdefault(worker, [])
            case "paint" if worker in self.has:
                self.paint(worker, twice=self.asked % 2 == 0)
            case "lose" if self.has.get(worker):
                self.has[worker].pop(0)
            case "die" if worker in self.has:
                del self.has[worker]
                self.dispatch.gone(worker)
            case "freeze" if worker in self.has:
                self.frozen.add(worker)
            case "cut":
                self.dispatch.reconnected(self.now)
        self.beat()
        self.settle()

    def beat(self):
        for worker, numbers in self.has.items():
            if worker not in self.frozen:
                self.dispatch.worker(state(worker, *numbers), self.now)

    def paint(self, worker, twice=False):
        if not self.has[worker]:
            return
        number = self.has[worker].pop(0)
        for _ in range(1 + twice):
            for step in (1, 2):
                if self.dispatch.frame(number, worker, step, 2, self.now) and step == 2:
                    self.finals.append(number)


@given(plan=steps, shared=st.booleans())
def test_every_request_ends_in_one_final_picture_or_is_said_to_be_given_up(plan, shared):
    world = World(shared)
    for what, worker in plan:
        world.do(what, worker)
        assert len(world.finals) == len(set(world.finals)), "a final picture is delivered once"
    world.do("beat", "a")
    world.frozen.clear()
    for _ in range(4 * BACKLOG + math.ceil(3 * SILENT_S / 0.3)):
        world.do("rest", "a")
        for worker in list(world.has):
            world.paint(worker)
    assert sorted(world.finals + world.lost) == list(range(1, world.asked + 1)), "none is forgotten, none is both"


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True), st.integers(1, 30))
def test_no_worker_has_more_than_its_share(workers, count):
    dispatch = book(*workers)
    for number in range(1, count + 1):
        dispatch.submit(number, request(number))
    asked = orders(dispatch)
    assert len(asked) == min(count, BACKLOG, AHEAD * len(workers))
    assert all(sum(worker == one for _, worker in asked) <= AHEAD for one in workers)
