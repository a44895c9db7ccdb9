import json
import os
import signal
import time
from dataclasses import dataclass

import numpy as np
import pytest
from remote_worker import FAILING_SEED, SLOW_SEED, SPACE, WorkerProcess, picture

from configs.schema import ControlSettings, RenderSettings
from realtime.broker import EmbeddedBroker
from realtime.bundle import EmbeddingSpace
from realtime.mqtt_address import BrokerError
from realtime.rendering.dispatch import BACKLOG
from realtime.rendering.frames import RenderRequest
from realtime.rendering.generator import GeneratorError
from realtime.rendering.remote import RemoteRenderer
from tests.mosquitto import free_port, until

PATIENCE_S = 40.0


def make_renderer(url, space=SPACE, session="P01"):
    return RemoteRenderer(RenderSettings(remote=True), ControlSettings(url=url), session, space)


def request(trial, steps=4, seed=0):
    embedding = np.random.default_rng(trial).normal(size=SPACE.dims).astype(np.float32)
    return RenderRequest(trial, embedding, seed, steps, {"onset": float(trial)})


class Gallery:
    """What a session keeps: all frames that came."""

    def __init__(self, renderer):
        self.renderer = renderer
        self.frames = []

    def look(self):
        self.frames += self.renderer.frames()
        return self.frames

    def finals(self):
        return [frame.request for frame in self.look() if frame.final]

    def until_finals(self, numbers):
        until(lambda: set(self.finals()) >= set(numbers), PATIENCE_S, f"finals of {numbers}; {self.renderer.state}")
        assert sorted(self.finals()) == sorted(numbers)


@dataclass
class Farm:
    """A broker with two workers; shared by the tests of this module, the last of which kills one of the workers."""

    url: str
    mosquitto: object | None
    workers: list[WorkerProcess]


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def farm(request):
    if request.param == "mosquitto":
        broker = request.getfixturevalue("make_mosquitto")()
        farm, close = Farm(broker.url, broker, []), broker.kill
    else:
        pytest.importorskip("amqtt", reason="the built-in broker needs amqtt")
        broker = EmbeddedBroker(free_port()).start()
        farm, close = Farm(broker.url, None, []), broker.stop
    farm.workers += [WorkerProcess(farm.url), WorkerProcess(farm.url)]
    yield farm
    for worker in farm.workers:
        worker.stop()
    close()


@pytest.fixture
def renderer(farm):
    with make_renderer(farm.url) as renderer:
        assert renderer.wait_ready(PATIENCE_S) == SPACE
        until(lambda: set(renderer.workers) == {worker.id for worker in farm.workers}, PATIENCE_S, "both workers")
        yield renderer


def test_previews_then_final_come_from_another_process(renderer):
    asked = request(5, seed=SLOW_SEED)
    gallery = Gallery(renderer)
    number = renderer.submit(asked)
    assert renderer.submit(request(6, steps=1)) == number + 1
    gallery.until_finals([number, number + 1])
    frames = [frame for frame in gallery.frames if frame.request == number]
    steps = [frame.step for frame in frames]
    assert steps == sorted(set(steps)), "in order; a preview that waits too long is left out"
    assert 2 <= len(steps) <= 4
    assert {(frame.trial, frame.of) for frame in frames} == {(5, 4)}
    for frame in frames:
        wanted = picture(asked.embedding, frame.step, 4).astype(int)
        assert np.abs(frame.image - wanted).mean() < 2, "JPEG, but the right picture"
    first, final = frames[0].ledger, frames[-1].ledger
    assert first["onset"] == 5.0
    assert first["first_picture"] == final["first_picture"] < final["final_picture"]
    assert "final_picture" not in first
    assert [final[f"picture_{step}"] for step in steps] == sorted(final[f"picture_{step}"] for step in steps)
    until(lambda: renderer.state.kind == "ready")
    renderer.stop()
    assert renderer.state.kind == "dead"


def test_frozen_worker_is_replaced_and_its_late_pictures_do_not_count(farm, renderer):
    gallery = Gallery(renderer)
    asked = [renderer.submit(request(trial, steps=8, seed=SLOW_SEED)) for trial in range(4)]
    until(gallery.look)
    farm.workers[0].freeze()
    gallery.until_finals(asked)
    assert renderer.restarts >= 1
    assert renderer.workers == (farm.workers[1].id,)
    farm.workers[0].thaw()
    until(lambda: len(renderer.workers) == 2, PATIENCE_S)
    more = [renderer.submit(request(trial)) for trial in (5, 6)]
    gallery.until_finals([*asked, *more])


def test_broker_killed_and_restarted_in_the_middle(farm, renderer):
    if farm.mosquitto is None:
        pytest.skip("the broker that is killed here is mosquitto")
    gallery = Gallery(renderer)
    asked = [renderer.submit(request(trial, steps=10, seed=SLOW_SEED)) for trial in range(4)]
    for _ in range(2):
        seen = len(gallery.look())
        until(lambda seen=seen: len(gallery.look()) > seen, PATIENCE_S)
        farm.mosquitto.kill()
        until(lambda: renderer.state.kind == "dead")
        assert "no connection" in renderer.state.text
        before = time.perf_counter()
        asked.append(renderer.submit(request(len(asked))))
        assert time.perf_counter() - before < 0.1
        farm.mosquitto.start()
    gallery.until_finals(asked)


def test_killed_companion_is_replaced_and_asks_again(renderer):
    gallery = Gallery(renderer)
    number = renderer.submit(request(1, steps=20, seed=SLOW_SEED))
    until(gallery.look)
    os.kill(renderer.pid, signal.SIGKILL)
    gallery.until_finals([number])
    steps = [frame.step for frame in gallery.frames]
    assert steps == sorted(set(steps)), "no picture comes twice"


def test_fault_of_one_request_costs_one_picture(renderer, caplog):
    gallery = Gallery(renderer)
    renderer.submit(request(1, seed=FAILING_SEED))
    good = renderer.submit(request(3))
    gallery.until_finals([good])
    until(lambda: "MemoryError: out of memory" in caplog.text)


def test_workers_of_another_space_are_named_and_never_asked(farm, renderer):
    unlike = EmbeddingSpace("unlike", "drawn", SPACE.dims)
    with make_renderer(farm.url, unlike, "P03") as stranger:
        until(lambda: "does not fit" in stranger.state.text, PATIENCE_S)
        with pytest.raises(GeneratorError, match=r"plain/drawn .* where unlike/drawn .* is needed"):
            stranger.wait_ready(0.1)
        stranger.submit(request(1))
        Gallery(renderer).until_finals([renderer.submit(request(2))])
        assert stranger.frames() == []
        assert stranger.workers == ()


def test_two_sessions_get_their_own_pictures(farm, renderer):
    with make_renderer(farm.url, session="P02") as second:
        second.wait_ready(PATIENCE_S)
        galleries = [(Gallery(one), one.submit(request(trial)), trial) for trial, one in ((1, renderer), (2, second))]
        for gallery, number, trial in galleries:
            gallery.until_finals([number])
            assert {frame.trial for frame in gallery.frames} == {trial}


def test_without_workers_the_newest_requests_are_kept_and_submitting_never_waits(farm):
    control = ControlSettings(url=farm.url, root="nobody")
    with RemoteRenderer(RenderSettings(), control, "P01", SPACE) as renderer:
        until(lambda: "start one" in renderer.state.text)
        began = time.perf_counter()
        for trial in range(200):
            renderer.submit(request(trial % 50))
        assert time.perf_counter() - began < 1.0
        until(lambda: renderer.dropped == 200 - BACKLOG)


def test_two_workers_share_the_load_and_one_is_killed(farm, renderer):
    """Every trial's final picture comes once."""
    gallery = Gallery(renderer)
    asked = []
    group = None if farm.mosquitto is None else farm.mosquitto.hear("perceptogram/v1/render/+/cmd", 1)
    for trial in range(24):
        asked.append(renderer.submit(request(trial, steps=3, seed=SLOW_SEED)))
        if trial == 9:
            farm.workers[0].kill()
        until(lambda: len(asked) - len(gallery.finals()) < 4, PATIENCE_S, f"room; {renderer.state}")
    gallery.until_finals(asked)
    assert renderer.restarts >= 1, "the dead worker had something to do"
    assert renderer.dropped == 0
    assert renderer.workers == (farm.workers[1].id,)
    order = [(frame.request, frame.step) for frame in gallery.frames]
    assert len(order) == len(set(order)), "no picture comes twice"
    for frame in gallery.frames:
        assert frame.trial == frame.request - 1
    if group is not None:
        said, _ = group.communicate(timeout=PATIENCE_S)
        assert json.loads(said)["session"] == "P01", "mosquitto shares what is sent to the group"


@pytest.mark.parametrize(
    ("embedding", "steps", "complaint"),
    [
        (np.zeros(3), 1, r"shape \[3\], the generator wants \[4\]"),
        (np.full(4, np.nan), 1, "finite embedding"),
        (np.zeros(4), 0, r"at least one step \(given: 0\)"),
    ],
)
def test_requests_that_cannot_be_painted_are_refused(embedding, steps, complaint):
    renderer = make_renderer("mqtt://127.0.0.1:1")
    with pytest.raises(ValueError, match=complaint):
        renderer.submit(RenderRequest(1, embedding, 0, steps))


def test_unsafe_broker_is_refused():
    with pytest.raises(BrokerError, match="another machine"):
        make_renderer("mqtt://lab.example")
