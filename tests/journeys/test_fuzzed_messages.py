"""Hundreds of messages that are nearly right, over a real broker: each is refused in a line, and work goes on."""

import json
import threading

import numpy as np
import paho.mqtt.client as paho
import pytest

from configs.schema import ControlSettings, RenderSettings
from realtime.control.control import Control
from realtime.control.messages import CommandError, parse_command
from realtime.rendering.contract import Contract
from realtime.rendering.messages import Frame, RenderRequest
from realtime.rendering.remote.renderer import RemoteRenderer
from realtime.rendering.remote.wire import (
    WireError,
    WorkerState,
    decode_jpeg,
    frame_jpeg,
    read_failure,
    read_job,
    read_picture,
    read_worker,
    request_json,
    worker_json,
)
from tests.support.mosquitto import until
from tests.support.mutations import mutated
from tests.support.remote_worker import SPACE, WorkerProcess

ROOT = "perceptogram/v1"
PATIENCE_S = 90.0
SIDE = 128
CONTRACT = Contract.of(SPACE, RenderSettings())
LABEL = {"run": "abc", "request": 1, "worker": "w", "proof": "0" * 32}
IMAGE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)

COMMANDS = [
    {"id": "a", "command": "start"},
    {"id": "b", "command": "mark", "args": {"text": "the door"}},
    {"id": "c", "command": "show", "args": {"picture": "dog/1.jpg"}},
    {"id": "d", "command": "set_threshold", "args": {"confidence": 0.5}},
    {"id": "e", "command": "set_steps", "args": {"steps": 3}},
]
REQUEST = request_json(
    "P01", "abc", 1, "0" * 32, CONTRACT.key, RenderRequest(1, np.ones(4), 0, 2, start=np.ones((4, 2, 2), np.float16))
)
FRAME = frame_jpeg(Frame(1, 1, 2, IMAGE, {"onset": 1.0}, 1), **LABEL)
FAILURE = json.dumps(LABEL | {"text": "out of memory"}).encode()
STATE = worker_json(WorkerState("w", "ready", "ready", CONTRACT, ("abc/1/0", "def/2/1"), True))
READERS = {
    "request": (REQUEST, lambda payload: read_job(payload).to_request()),
    "frame": (FRAME, lambda payload: decode_jpeg(read_picture(payload, SIDE * SIDE).jpeg)),
    "failure": (FAILURE, read_failure),
    "state": (STATE, lambda payload: list(read_worker(payload, "w").claims())),
}


def refusal(read, payload):
    """Return why `payload` is refused; empty where it is not."""
    try:
        read(payload)
    except (WireError, CommandError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", READERS)
def test_whatever_comes_is_read_or_refused_in_one_line(kind):
    rng = np.random.default_rng(1)
    whole, read = READERS[kind]
    read(whole)
    refused = [refusal(read, mutated(rng, whole)) for _ in range(250)]
    assert sum(map(bool, refused)) > 60
    assert all(text.isprintable() and len(text) < 600 for text in refused)


class Stranger:
    """A program that may say anything to anybody."""

    def __init__(self, broker):
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.max_queued_messages_set(0)
        self.acks = []
        heard = threading.Event()
        self._client.on_message = lambda _client, _data, letter: self.acks.append(json.loads(letter.payload))
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/P01/session/ack", 1)
        self._client.on_subscribe = lambda *_: heard.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert heard.wait(PATIENCE_S)

    def say(self, topic, payload):
        self._client.publish(f"{ROOT}/{topic}", payload, 1).wait_for_publish(PATIENCE_S)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def stranger(mosquitto):
    stranger = Stranger(mosquitto)
    yield stranger
    stranger.close()


def test_commands_that_are_nearly_right_change_nothing(mosquitto, stranger, capfd):
    rng = np.random.default_rng(2)
    payloads = [mutated(rng, json.dumps(COMMANDS[rng.integers(5)]).encode()) or b" " for _ in range(500)]
    refused = [refusal(parse_command, payload) for payload in payloads]
    assert all(text.isprintable() and len(text) < 600 for text in refused)
    wrong = [payload for payload, text in zip(payloads, refused, strict=True) if text]
    assert len(wrong) > 400
    with Control(ControlSettings(url=mosquitto.url), "P01", SPACE) as control:
        assert control.wait_connected(PATIENCE_S)
        for payload in wrong:
            stranger.say("P01/session/cmd", payload)
        stranger.say("P01/session/cmd", json.dumps({"id": "last", "command": "stop"}))
        assert control.wait(PATIENCE_S)
        (last,) = control.commands()
        assert last.id == "last"
        control.acknowledge(last)
        until(lambda: len(stranger.acks) > len(wrong), PATIENCE_S)
        until(lambda: control.status.refused == len(wrong))
        assert control.status.restarts == 0
    assert [ack["ok"] for ack in stranger.acks] == [False] * len(wrong) + [True]
    assert "Traceback" not in capfd.readouterr().err


def test_frames_states_and_requests_that_are_nearly_right_do_not_stop_the_painting(mosquitto, stranger, capfd):
    rng = np.random.default_rng(3)
    worker = WorkerProcess(mosquitto.url)
    try:
        with RemoteRenderer(RenderSettings(remote=True), ControlSettings(url=mosquitto.url), "P01", SPACE) as renderer:
            renderer.wait_ready(PATIENCE_S)
            for number in range(125):
                stranger.say("P01/remote/frame", mutated(rng, FRAME))
                stranger.say("P01/remote/event", mutated(rng, FAILURE))
                stranger.say(f"workers/w{number}/state", mutated(rng, STATE.replace(b'"w"', f'"w{number}"'.encode())))
                stranger.say(f"workers/{worker.id}/cmd", mutated(rng, REQUEST))
            number = renderer.submit(RenderRequest(7, np.zeros(SPACE.dims), 0, 1))
            frames = []
            until(lambda: frames.extend(renderer.frames()) or frames, PATIENCE_S, f"a picture; {renderer.state}")
            assert [(frame.request, frame.trial, frame.image.shape) for frame in frames] == [
                (number, 7, (SIDE, SIDE, 3))
            ]
            assert worker.id in renderer.workers
    finally:
        worker.stop()
    assert "Traceback" not in capfd.readouterr().err
