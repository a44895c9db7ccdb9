import json
import os
import signal
import threading
import time
from dataclasses import dataclass

import numpy as np
import paho.mqtt.client as paho
import pytest

from configs.schema import ControlSettings, RenderSettings
from realtime.mqtt.address import BrokerError
from realtime.mqtt.embedded_broker import EmbeddedBroker
from realtime.rendering.errors import GeneratorError
from realtime.rendering.messages import RenderRequest
from realtime.rendering.remote.renderer import RemoteRenderer
from realtime.spaces import EmbeddingSpace
from tests.support.mosquitto import free_port, until
from tests.support.remote_worker import FAILING_SEED, SLOW_SEED, SPACE, WorkerProcess, picture

pytestmark = pytest.mark.processes

PATIENCE_S = 90.0


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

    def until_final(self, number):
        """Wait for the picture of the newest request; nothing came after one of a newer request."""
        until(lambda: number in self.finals(), PATIENCE_S, f"final of {number}; {self.renderer.state}")
        shown = [(frame.request, frame.step) for frame in self.frames]
        assert shown == sorted(set(shown))


class Ears:
    """Hears everything that the broker carries, as anybody can whom no access list forbids it."""

    def __init__(self, url):
        self.heard = []
        subscribed = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _client, _data, letter: self.heard.append((letter.topic, letter.payload))
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        host, port = url.removeprefix("mqtt://").split(":")
        self.client.connect(host, int(port))
        self.client.loop_start()
        assert subscribed.wait(PATIENCE_S)

    def asked(self, session="P01"):
        """Return the worker and the content of each request of a session."""
        letters = [(topic.split("/"), payload) for topic, payload in list(self.heard)]
        requests = [(parts[3], json.loads(payload)) for parts, payload in letters if parts[2:] == [*parts[2:4], "cmd"]]
        return [(worker, one) for worker, one in requests if one["session"] == session]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Farm:
    """A broker with two workers; shared by the tests of this module, the last of which kills one of the workers."""

    url: str
    mosquitto: object | None
    workers: list[WorkerProcess]

    def owner(self, ears):
        """Return the worker that was asked last."""
        (worker,) = (worker for worker in self.workers if worker.id == ears.asked()[-1][0])
        return worker


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


@pytest.fixture
def ears(farm):
    ears = Ears(farm.url)
    yield ears
    ears.close()


@pytest.mark.realtime  # a preview that waits too long is left out
def test_previews_then_final_come_from_another_process(renderer):
    asked = request(5, seed=SLOW_SEED)
    gallery = Gallery(renderer)
    number = renderer.submit(asked)
    gallery.until_final(number)
    assert renderer.submit(request(6, steps=1)) == number + 1
    gallery.until_final(number + 1)
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


def test_frozen_worker_is_replaced_and_its_late_pictures_do_not_count(farm, renderer, ears):
    gallery = Gallery(renderer)
    number = renderer.submit(request(1, steps=20, seed=SLOW_SEED))
    until(gallery.look)
    frozen = farm.owner(ears)
    frozen.freeze()
    gallery.until_final(number)
    assert renderer.restarts == 1
    assert set(renderer.workers) == {worker.id for worker in farm.workers} - {frozen.id}
    frozen.thaw()
    until(lambda: len(renderer.workers) == 2, PATIENCE_S)
    gallery.until_final(renderer.submit(request(5)))
    assert gallery.finals() == [number, number + 1]


def test_broker_killed_and_restarted_in_the_middle(farm, renderer):
    if farm.mosquitto is None:
        pytest.skip("the broker that is killed here is mosquitto")
    gallery = Gallery(renderer)
    for _ in range(2):
        number = renderer.submit(request(1, steps=20, seed=SLOW_SEED))
        seen = len(gallery.look())
        until(lambda seen=seen: len(gallery.look()) > seen, PATIENCE_S)
        farm.mosquitto.kill()
        until(lambda: renderer.state.kind == "dead")
        assert "no connection" in renderer.state.text
        renderer.submit(request(2))  # one that waited for the broker would never return
        farm.mosquitto.start()
        gallery.until_final(number + 1)


def test_killed_companion_is_replaced_and_asks_again(renderer):
    gallery = Gallery(renderer)
    number = renderer.submit(request(1, steps=20, seed=SLOW_SEED))
    until(gallery.look)
    os.kill(renderer.pid, signal.SIGKILL)
    gallery.until_final(number)
    steps = [frame.step for frame in gallery.frames]
    assert steps == sorted(set(steps)), "no picture comes twice"


def test_fault_of_one_request_costs_one_picture(renderer, caplog):
    gallery = Gallery(renderer)
    renderer.submit(request(1, seed=FAILING_SEED))
    until(lambda: "MemoryError: out of memory" in caplog.text, PATIENCE_S)
    gallery.until_final(renderer.submit(request(3)))
    assert gallery.finals() == [2]


def test_workers_of_another_space_are_named_and_never_asked(farm, renderer):
    unlike = EmbeddingSpace("unlike", "drawn", SPACE.dims)
    with make_renderer(farm.url, unlike, "P03") as stranger:
        until(lambda: stranger.state.text == "no worker that can be used", PATIENCE_S)
        with pytest.raises(GeneratorError, match=r"plain/drawn .* where unlike/drawn .* is needed"):
            stranger.wait_ready(0.1)
        stranger.submit(request(1))
        Gallery(renderer).until_final(renderer.submit(request(2)))
        assert stranger.frames() == []
        assert stranger.workers == ()


def test_two_sessions_get_their_own_pictures(farm, renderer):
    with make_renderer(farm.url, session="P02") as second:
        second.wait_ready(PATIENCE_S)
        galleries = [(Gallery(one), one.submit(request(trial)), trial) for trial, one in ((1, renderer), (2, second))]
        for gallery, number, trial in galleries:
            gallery.until_final(number)
            assert {frame.trial for frame in gallery.frames} == {trial}


def test_without_workers_the_newest_request_is_kept_and_submitting_never_waits(farm):
    control = ControlSettings(url=farm.url, root="nobody")
    with RemoteRenderer(RenderSettings(), control, "P01", SPACE) as renderer:
        until(lambda: "start one" in renderer.state.text)
        for trial in range(200):  # one that waited for a worker would never return
            renderer.submit(request(trial % 50))
        until(lambda: renderer.dropped == 199)


def test_two_workers_share_the_load_and_one_is_killed(farm, renderer, ears):
    """Each keeps the newest of its turn; the newest of all is painted although its worker dies."""
    gallery = Gallery(renderer)
    for trial in range(24):
        number = renderer.submit(request(trial, steps=3, seed=SLOW_SEED))
        if trial == 15:
            until(lambda number=number: ears.asked()[-1][1]["request"] == number, PATIENCE_S)
            dead = farm.owner(ears)
            dead.kill()
            gallery.until_final(number)
            assert renderer.restarts == 1
        time.sleep(0.06)
    gallery.until_final(number)
    assert {worker for worker, _ in ears.asked()} == {worker.id for worker in farm.workers}
    assert set(renderer.workers) == {worker.id for worker in farm.workers} - {dead.id}
    finals = gallery.finals()
    assert len(finals) + renderer.dropped == 24
    assert len(finals) >= 8
    for frame in gallery.frames:
        assert frame.trial == frame.request - 1


def test_embeddings_of_another_size_are_refused():
    renderer = make_renderer("mqtt://127.0.0.1:1")
    with pytest.raises(ValueError, match=r"shape \[3\], the generator wants \[4\]"):
        renderer.submit(RenderRequest(1, np.zeros(3), 0, 1))


def test_unsafe_broker_is_refused():
    with pytest.raises(BrokerError, match="another machine"):
        make_renderer("mqtt://lab.example")
