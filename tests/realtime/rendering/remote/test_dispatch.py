import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import RenderSettings
from realtime.rendering.contract import Contract
from realtime.rendering.messages import Origin, RenderRequest
from realtime.rendering.remote.dispatch import (
    FORGET_S,
    MAX_STRANGERS,
    MAX_TRIES,
    MAX_WORKERS,
    SILENT_S,
    Dispatch,
    GivenUp,
    Order,
)
from realtime.rendering.remote.wire import Picture, WorkerState, proof
from realtime.spaces import EmbeddingSpace

SPACE = EmbeddingSpace("tiny", "random", 8)
CONTRACT = Contract.of(SPACE, RenderSettings(generator="unclip"))
OTHER = Contract.of(SPACE, RenderSettings(generator="unclip", size=256))
RUN = "abc123"


def request(trial, steps=2):
    return RenderRequest(trial, np.zeros(SPACE.dims, np.float32), 0, steps)


class Farm:
    """The book with the workers that answer it: they keep what they are sent and know its key."""

    def __init__(self, *workers, now=0.0):
        self.dispatch = Dispatch(CONTRACT, RUN)
        self.keys = {}
        self.numbers = 0
        for worker in workers:
            self.beat(worker, now=now)

    def submit(self, steps=2):
        self.numbers += 1
        return [one.number for one in self.dispatch.submit(self.numbers, request(self.numbers, steps))]

    def due(self, now=0.0):
        sent, lost = [], []
        for one in self.dispatch.due(now):
            if isinstance(one, Order):
                self.keys[one.number] = one.key
                sent.append((one.number, one.worker))
            else:
                lost.append(one.number)
        return sent, lost

    def beat(self, worker, *numbers, painting=True, now=0.0, others=()):
        has = (f"{RUN}/{number}/{proof(self.keys[number], worker, 'has')}" for number in numbers)
        state = WorkerState(worker, "ready", "", CONTRACT, (*has, *others), painting and bool(numbers))
        self.dispatch.worker(state, now)

    def picture(self, number, worker, step, key=None):
        shown = proof(key or self.keys[number], worker, str(step))
        return Picture(RUN, number, step, worker, shown, Origin(), (128, 128), b"")

    def paint(self, number, worker, step, now=0.0):
        """Return whether a picture is delivered, and what was abandoned for it."""
        if self.dispatch.wanted(self.picture(number, worker, step)) is None:
            return False, []
        deliver, abandoned = self.dispatch.frame(number, step, now)
        return deliver, [one.number for one in abandoned]


def test_each_worker_paints_one_and_only_the_newest_waits():
    farm = Farm("a", "b")
    sent = []
    for _ in range(5):
        farm.submit()
        orders, _ = farm.due()
        sent += orders
        for number, worker in orders:
            farm.beat(worker, number)
    assert [number for number, _ in sent] == [1, 2]
    assert {worker for _, worker in sent} == {"a", "b"}
    assert farm.dispatch.dropped == 2, "3 and 4 made way for 5"
    first = sent[0][1]
    farm.paint(1, first, 1)
    assert farm.paint(1, first, 2) == (True, [])
    assert farm.due() == ([(5, first)], [])


def test_a_request_that_waits_behind_other_sessions_is_replaced_in_its_place():
    farm = Farm()
    others = ("other/1/x", "another/1/x")
    farm.beat("a", now=0.0, others=others)
    farm.submit()
    assert farm.due() == ([(1, "a")], [])
    farm.beat("a", 1, painting=False, others=others)
    farm.submit()
    assert farm.due() == ([(2, "a")], []), "the newest goes there, too"
    farm.beat("a", 2, others=others)
    farm.submit()
    assert farm.due() == ([], []), "2 is being painted"


def test_an_idle_worker_is_preferred_to_the_place_in_a_queue():
    farm = Farm()
    farm.beat("a", others=("other/1/x",))
    farm.submit()
    assert farm.due() == ([(1, "a")], [])
    farm.beat("a", 1, painting=False, others=("other/1/x",))
    farm.beat("b")
    farm.submit()
    assert farm.due() == ([(2, "b")], [])


def test_a_picture_never_follows_one_of_a_newer_request():
    farm = Farm("a", "b")
    farm.submit(steps=3)
    ((_, slow),), _ = farm.due()
    farm.beat(slow, 1)
    farm.submit(steps=3)
    ((_, fast),), _ = farm.due()
    assert fast != slow
    assert farm.paint(1, slow, 1) == (True, [])
    assert farm.paint(2, fast, 1) == (False, []), "a preview waits until the picture before it is ready"
    assert farm.paint(1, slow, 2) == (True, [])
    assert farm.paint(2, fast, 3) == (True, [1]), "a final picture does not"
    assert farm.paint(1, slow, 3) == (False, [])
    assert farm.dispatch.dropped == 1


def test_the_preview_of_a_newer_request_ends_one_that_has_shown_nothing():
    farm = Farm("a", "b")
    farm.submit()
    ((_, slow),), _ = farm.due()
    farm.beat(slow, 1)
    farm.submit()
    ((_, fast),), _ = farm.due()
    assert farm.paint(2, fast, 1) == (True, [1])
    assert farm.paint(1, slow, 2) == (False, [])


def test_pictures_and_failures_count_only_from_the_worker_that_was_asked_and_with_its_key():
    farm = Farm("a", "b")
    farm.submit(steps=1)
    ((number, owner),), _ = farm.due()
    other = "ab".replace(owner, "")
    forged = (
        farm.picture(number, owner, 1, key="f" * 32),
        farm.picture(number, other, 1),
        dataclasses.replace(farm.picture(number, other, 1), worker=owner),
        farm.picture(number, owner, 2),
        dataclasses.replace(farm.picture(number, owner, 1), request=2),
    )
    assert not any(farm.dispatch.wanted(one) for one in forged)
    key = farm.keys[number]
    for worker, shown in ((owner, ""), (owner, proof(key, owner, "1")), (other, proof(key, other, "failed"))):
        assert farm.dispatch.failed(number, worker, shown, "no") == []
    assert farm.paint(number, owner, 1) == (True, [])
    farm.submit(steps=1)
    ((number, owner),), _ = farm.due()
    shown = proof(farm.keys[number], owner, "failed")
    assert farm.dispatch.failed(number, owner, shown, "out of\nmemory") == [
        GivenUp(2, "trial 2 is not painted: out of memory")
    ]


def test_a_worker_cannot_take_a_request_by_claiming_it():
    farm = Farm("a")
    farm.submit(steps=1)
    farm.due()
    thief = WorkerState("b", "ready", "", CONTRACT, (f"{RUN}/1/{proof(farm.keys[1], 'a', 'has')}",), True)
    farm.dispatch.worker(thief, 0.1)
    farm.dispatch.gone("b")
    assert farm.paint(1, "a", 1) == (True, [])


def test_workers_that_do_not_fit_are_never_asked_and_named_once():
    farm = Farm()
    for now in (0.0, 0.5):
        farm.dispatch.worker(WorkerState("odd", "ready", "", OTHER), now)
        farm.dispatch.stranger("old", "schema: Input should be 2", now)
    farm.submit()
    assert farm.due() == ([], [])
    assert farm.dispatch.state(0.5).kind == "dead"
    odd, old = farm.dispatch.remarks
    assert odd == "worker odd is not used: render.size 256 where 768 is needed"
    assert old == "worker old is not used: schema: Input should be 2"
    farm.beat("a", now=0.6)
    told = farm.dispatch.state(0.6)
    assert told.kind == "busy"
    assert told.text.endswith("(1 worker)"), "why others are not used is told once, not in every state"


def test_names_are_limited_and_forgotten():
    farm = Farm("a")
    for number in range(5000):
        farm.dispatch.worker(WorkerState(f"w{number}", "ready", "", OTHER), 0.0)
    assert len(farm.dispatch.remarks) == MAX_STRANGERS + 1
    farm.beat("b")
    assert sorted(farm.dispatch.fit(0.0)) == ["a", "b"], "who fits is still taken"
    for number in range(2 * MAX_WORKERS):
        farm.beat(f"good{number}")
    assert len(farm.dispatch.fit(0.0)) == MAX_WORKERS
    farm.due(FORGET_S + 1)
    assert farm.dispatch == Dispatch(CONTRACT, RUN, remarks=farm.dispatch.remarks, _crowded=True)


def test_silent_request_goes_to_another():
    farm = Farm("a", "b")
    farm.submit()
    ((_, first),), _ = farm.due(0.0)
    second = "ab".replace(first, "")
    for now in (0.5, 1.0, 1.5, 2.0, 2.4):
        farm.beat("a", now=now)
        farm.beat("b", now=now)
        assert farm.due(now) == ([] if now <= SILENT_S else [(1, second)], [])
    assert farm.dispatch.handed_over == 1


def test_what_a_lost_worker_had_is_painted_by_another_if_it_is_the_newest():
    farm = Farm("a", "b", "c")
    farm.submit()
    ((_, first),), _ = farm.due()
    farm.beat(first, 1)
    farm.submit()
    ((_, second),), _ = farm.due()
    farm.beat(second, 2)
    farm.dispatch.gone(first)
    farm.dispatch.gone(second)
    sent, lost = farm.due()
    assert lost == [1]
    assert sent == [(2, "abc".replace(first, "").replace(second, ""))]


def test_request_that_kills_workers_is_given_up():
    farm = Farm()
    farm.submit()
    for life in range(MAX_TRIES):
        farm.beat("a", now=float(life))
        assert farm.due(float(life)) == ([(1, "a")], [])
        farm.dispatch.gone("a")
    (given_up,) = farm.dispatch.due(9.0)
    assert given_up == GivenUp(1, f"trial 1 is not painted: {MAX_TRIES} workers were lost over it")


def test_without_workers_the_newest_is_kept():
    farm = Farm()
    assert [one for _ in range(4) for one in farm.submit()] == [1, 2, 3]
    farm.beat("a")
    assert farm.due() == ([(4, "a")], [])
    assert farm.dispatch.dropped == 3


def test_silence_while_the_broker_was_away_is_nobodys_fault():
    farm = Farm("a")
    farm.submit()
    farm.due()
    farm.dispatch.reconnected(60.0)
    assert farm.due(60.0 + SILENT_S) == ([], [])


@pytest.mark.parametrize("claim", ["", "/", "abc123", "abc123/", "abc123/x/y", "abc123/9" * 9, f"abc123/{'9' * 99}/x"])
def test_claims_that_mean_nothing_change_nothing(claim):
    farm = Farm("a")
    farm.submit(steps=1)
    farm.due()
    farm.dispatch.worker(WorkerState("a", "ready", "", CONTRACT, (claim,), True), 0.0)
    assert farm.paint(1, "a", 1) == (True, [])


plans = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "beat", "paint", "paint", "lose", "die", "freeze", "cut"]),
        st.sampled_from("abc"),
    ),
    max_size=60,
)


class World:
    """Workers that die, freeze, lose messages and say things twice; time passes with every step."""

    def __init__(self):
        self.farm = Farm()
        self.now = 0.0
        self.has = {}
        self.frozen = set()
        self.shown = []
        self.finals = []
        self.lost = []

    def settle(self):
        orders, lost = self.farm.due(self.now)
        self.lost += lost
        fit = self.farm.dispatch.fit(self.now)
        for number, worker in orders:
            assert worker in fit
            if worker in self.has and number not in self.has[worker]:
                del self.has[worker][1:]  # the newest of a session takes the place of the one that waits
                self.has[worker].append(number)

    def do(self, what, worker):
        self.now += 0.3
        match what:
            case "submit":
                self.lost += self.farm.submit()
            case "beat":
                self.frozen.discard(worker)
                self.has.setdefault(worker, [])
            case "paint" if worker in self.has:
                self.paint(worker, twice=self.farm.numbers % 2 == 0)
            case "lose" if self.has.get(worker):
                self.has[worker].pop(0)
            case "die" if worker in self.has:
                del self.has[worker]
                self.farm.dispatch.gone(worker)
            case "freeze" if worker in self.has:
                self.frozen.add(worker)
            case "cut":
                self.farm.dispatch.reconnected(self.now)
        for one, numbers in self.has.items():
            if one not in self.frozen:
                self.farm.beat(one, *numbers, now=self.now)
        self.settle()

    def paint(self, worker, twice=False):
        if not self.has[worker]:
            return
        number = self.has[worker].pop(0)
        for _ in range(1 + twice):
            for step in (1, 2):
                deliver, abandoned = self.farm.paint(number, worker, step, self.now)
                self.lost += abandoned
                if deliver:
                    self.shown.append(number)
                    if step == 2:
                        self.finals.append(number)


@given(plan=plans)
def test_the_newest_ends_in_one_final_picture_and_nothing_old_follows_it(plan):
    world = World()
    for what, worker in plan:
        world.do(what, worker)
    world.do("beat", "a")
    world.frozen.clear()
    for _ in range(20 + math.ceil(3 * SILENT_S / 0.3)):
        world.do("rest", "a")
        for worker in list(world.has):
            world.paint(worker)
    assert world.shown == sorted(world.shown)
    assert sorted(world.finals + world.lost) == list(range(1, world.farm.numbers + 1)), (
        "none is forgotten, none is both"
    )
    if world.farm.numbers and world.farm.dispatch.handed_over < MAX_TRIES:
        assert world.finals[-1] == world.farm.numbers
