"""The access list of the documentation, on a real broker: workers paint for a session, others are kept out."""

import json
import subprocess
import threading
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest

from configs.schema import ControlSettings, RenderSettings
from realtime.control.control import Control
from realtime.mqtt.address import PASSWORD, USER
from realtime.rendering.messages import RenderRequest
from realtime.rendering.remote.renderer import RemoteRenderer
from tests.support.mosquitto import until
from tests.support.remote_worker import SPACE, WorkerProcess

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 90.0
ROOT = "perceptogram/v1"


@pytest.fixture
def guarded(make_mosquitto, tmp_path_factory):
    """A broker with the documentation's list, and one user more who hears everything."""
    folder = tmp_path_factory.mktemp("access")
    for parent in (folder, *list(folder.parents)[:2]):
        parent.chmod(0o755)  # mosquitto gives up being root
    allowed, passwords = folder / "list.acl", folder / "passwords"
    allowed.write_text((DOCS / "mosquitto.acl").read_text() + "\nuser watcher\ntopic read #\n")
    for number, user in enumerate(("room1", "workers", "steering", "watcher", "room2")):
        create = [] if number else ["-c"]
        subprocess.run(["mosquitto_passwd", "-b", *create, str(passwords), user, "word"], check=True)
    for file in (allowed, passwords):
        file.chmod(0o644)
    kept = [line for line in (DOCS / "mosquitto.conf").read_text().splitlines() if line.startswith("max_packet_size")]
    broker = make_mosquitto("allow_anonymous false", f"password_file {passwords}", f"acl_file {allowed}", *kept)
    yield broker
    broker.kill()


class Client:
    """A program of one user, who tries to hear everything."""

    def __init__(self, broker, user):
        self.heard = []
        answered = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.username_pw_set(user, "word")
        self._client.on_message = lambda _client, _data, letter: self.heard.append((letter.topic, letter.payload))
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._client.on_subscribe = lambda *_: answered.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert answered.wait(PATIENCE_S)

    def say(self, topic, payload):
        """Publish, which ends well also where the broker lets nothing pass."""
        self._client.publish(topic, payload, 1).wait_for_publish(PATIENCE_S)

    def topics(self):
        return {topic for topic, _ in list(self.heard)}

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def act_as(monkeypatch, user):
    monkeypatch.setenv(USER, user)
    monkeypatch.setenv(PASSWORD, "word")


def test_the_documented_list_lets_workers_paint_and_keeps_everybody_else_out(guarded, monkeypatch):
    watcher, steering, other = (Client(guarded, user) for user in ("watcher", "steering", "room2"))
    act_as(monkeypatch, "workers")
    worker = WorkerProcess(guarded.url)
    act_as(monkeypatch, "room1")
    settings = ControlSettings(url=guarded.url)
    try:
        with (
            Control(settings, "room1", SPACE) as control,
            RemoteRenderer(RenderSettings(remote=True), settings, "room1", SPACE) as renderer,
        ):
            control.set_state("running")
            renderer.wait_ready(PATIENCE_S)
            for intruder in (steering, other):
                intruder.say(f"{ROOT}/workers/{worker.id}/state", b"")
                intruder.say(f"{ROOT}/workers/evil/state", b"{}")
                intruder.say(f"{ROOT}/workers/{worker.id}/cmd", b"{}")
                intruder.say(f"{ROOT}/room1/remote/frame", b"forged")
                intruder.say(f"{ROOT}/room1/session/state", b"{}")
            other.say(f"{ROOT}/room1/session/cmd", b'{"id": "2", "command": "stop"}')
            steering.say(f"{ROOT}/room1/session/cmd", b'{"id": "1", "command": "pause"}')
            assert control.wait(PATIENCE_S)
            (command,) = control.commands()
            control.acknowledge(command)
            assert (command.id, command.name) == ("1", "pause")
            renderer.submit(RenderRequest(1, np.zeros(SPACE.dims), 0, 1))
            until(lambda: renderer.frames(), PATIENCE_S, "a picture")
            until(lambda: f"{ROOT}/room1/session/ack" in steering.topics(), what="the answer")
            assert renderer.workers == (worker.id,)
            until(lambda: f"{ROOT}/room1/remote/frame" in watcher.topics())
    finally:
        worker.stop()
        for client in (watcher, steering, other):
            client.close()
    assert f"{ROOT}/workers/{worker.id}/cmd" in watcher.topics()
    forged = [payload for topic, payload in watcher.heard if payload == b"forged" or topic.endswith("evil/state")]
    assert forged == []
    commands = [json.loads(payload)["id"] for topic, payload in watcher.heard if topic.endswith("session/cmd")]
    assert commands == ["1"]
    assert other.topics() == set(), "another room hears nothing of this one"
    assert {topic.removeprefix(f"{ROOT}/room1/").split("/")[0] for topic in steering.topics()} <= {
        "session",
        "renderer",
    }
