import json
import os
import signal
import socket
import threading
import time
from contextlib import closing

import numpy as np
import paho.mqtt.client as paho
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_control_messages import payloads

from configs.schema import ControlSettings
from realtime.control import control as control_module
from realtime.control.control import Command, Control, Event
from realtime.control.messages import (
    AckMessage,
    CommandError,
    PerceptMessage,
    StateMessage,
    parse_command,
    read_embedding,
)
from realtime.decoding.evidence import Percept
from realtime.decoding.gallery import Neighbour
from realtime.mqtt.embedded_broker import EmbeddedBroker
from realtime.mqtt.topics import topic_name
from realtime.rendering.messages import Frame
from realtime.rendering.remote.wire import decode_jpeg, read_label
from realtime.spaces import EmbeddingSpace
from tests.support.mosquitto import free_port, until

pytestmark = pytest.mark.processes

SPACE = EmbeddingSpace("tiny", "random", 16)
PATIENCE_S = 90.0
PREFIX = "perceptogram/v1/P01/session"


def percept(trial):
    embedding = np.random.default_rng(trial).normal(size=SPACE.dims).astype(np.float32)
    return Percept(trial, "drawn-1", embedding, 1, 0.5, (Neighbour("drawn-1", "fish", 0.25),), (), {"onset": 1.0})


class Listener:
    """Another program, on paho: it comes back by itself as ours does."""

    def __init__(self, url, topics="#"):
        self.letters = []
        self.online = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(0.05, 0.1)
        self._client.on_message = lambda _client, _data, letter: self.letters.append(letter)
        self._client.on_socket_open = lambda _c, _d, opened: opened.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self._client.on_subscribe = lambda *_: self.online.set()
        self._client.on_connect = lambda client, *_: client.subscribe(topics, 1)
        self._client.on_disconnect = lambda *_: self.online.clear()
        host, port = url.removeprefix("mqtt://").split(":")
        self._client.connect(host, int(port))
        self._client.loop_start()
        assert self.online.wait(PATIENCE_S)

    def say(self, payload, retain=False):
        content = json.dumps(payload).encode() if isinstance(payload, dict) else payload
        self._client.publish(f"{PREFIX}/cmd", content, 1, retain)

    def heard(self, what, component="session"):
        topic = f"perceptogram/v1/P01/{component}/{what}"
        return [letter.payload for letter in list(self.letters) if letter.topic == topic]

    def acks(self):
        return [AckMessage.model_validate_json(payload) for payload in self.heard("ack")]

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def shared_broker(make_mosquitto):
    return make_mosquitto()


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
def url(request):
    if request.param == "mosquitto":
        yield request.getfixturevalue("shared_broker").url
    else:
        pytest.importorskip("amqtt", reason="the built-in broker needs amqtt")
        with EmbeddedBroker(free_port()) as broker:
            yield broker.url


@pytest.fixture(scope="module")
def control(url):
    with Control(ControlSettings(url=url), "P01", SPACE) as control:
        assert control.wait_connected(PATIENCE_S), control.status.text
        yield control


@pytest.fixture
def listener(url, control):
    listener = Listener(url)
    yield listener
    listener.close()


def next_command(control):
    assert control.wait(PATIENCE_S), control.status
    (command,) = control.commands()
    return command


def test_percepts_events_states_and_pictures_are_told(control, listener):
    sent = percept(3)
    control.set_state("running", picture="drawn-1")
    assert control.publish(sent)
    control.publish(Event("quality", {"Fz": 0.9}))
    image = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (1, 64, 3))
    control.publish(Frame(3, 2, 4, image, {"onset": 1.0}, 9))
    until(lambda: len(listener.heard("event")) == 2 and listener.heard("frame", "renderer"))
    told, quality = listener.heard("event")
    record = PerceptMessage.model_validate_json(told).model_dump()
    assert (record["trial"], record["picture"], record["ledger"]) == (3, "drawn-1", {"onset": 1.0})
    np.testing.assert_allclose(read_embedding(record["embedding"]), sent.embedding, rtol=1e-3, atol=1e-4)
    assert json.loads(quality)["data"] == {"Fz": 0.9}
    assert json.loads(quality)["seq"] == record["seq"] + 1
    (jpeg,) = listener.heard("frame", "renderer")
    assert read_label(jpeg) == {"request": 9, "trial": 3, "step": 2, "of": 4, "ledger": {"onset": 1.0}}
    assert np.abs(decode_jpeg(jpeg).astype(int) - image).max() < 12
    state = StateMessage.model_validate_json(listener.heard("state")[-1])
    assert (state.state, state.details) == ("running", {"picture": "drawn-1"})
    assert "set_steps" in json.loads(listener.heard("schema")[-1])["command"]["discriminator"]["mapping"]


def test_commands_are_done_once_and_acknowledged(control, listener):
    listener.say({"id": "one", "command": "set_steps", "args": {"steps": 2}})
    command = next_command(control)
    assert command == Command("one", "set_steps", {"steps": 2})
    assert not listener.acks(), "nothing is acknowledged before it took effect"
    listener.say({"id": "one", "command": "set_steps", "args": {"steps": 2}})
    listener.say({"id": "two", "command": "show", "args": {"picture": "drawn-9"}})
    refused = next_command(control)
    assert refused.id == "two", "a command that is sent again while it is being done is not done twice"
    control.acknowledge(command)
    control.acknowledge(refused, "no picture drawn-9")
    control.acknowledge(command, "a second answer does not count")
    until(lambda: len(listener.acks()) == 2)
    assert [(ack.id, ack.ok, ack.error) for ack in listener.acks()] == [
        ("one", True, None),
        ("two", False, "no picture drawn-9"),
    ]
    listener.say({"id": "one", "command": "set_steps", "args": {"steps": 2}})
    listener.say({"id": "one", "command": "set_steps", "args": {"steps": 3}})
    until(lambda: len(listener.acks()) == 4)
    again, other = listener.acks()[2:]
    assert (again.id, again.ok) == ("one", True), "who did not hear the answer hears it again"
    assert (other.id, other.ok) == ("one", False)
    assert "used before for another command" in other.error
    assert control.commands() == []


def test_commands_that_are_kept_by_the_broker_are_refused(control, listener, url, request):
    listener.say({"id": "kept", "command": "start"}, retain=True)
    if "amqtt" in request.node.name:  # MQTT 3.1.1 does not tell who listens already
        control.acknowledge(next_command(control))
        until(lambda: listener.acks())
    else:
        until(lambda: listener.acks())
        assert "retained" in listener.acks()[0].error
        assert control.commands() == []
        until(lambda: control.status.refused)
    with Control(ControlSettings(url=url), "P01", SPACE) as late:
        until(lambda: len(listener.acks()) >= 2)  # amqtt delivers what it keeps more than once
        assert "retained" in listener.acks()[1].error
        assert late.commands() == []
        listener.say(b"", retain=True)


def test_pictures_that_lie_elsewhere_are_not_passed_on(control, listener):
    refused = control.status.refused
    listener.say({"id": "out", "command": "show", "args": {"picture": "../../x"}})
    until(lambda: listener.acks())
    (ack,) = listener.acks()
    assert (ack.id, ack.ok) == ("out", False)
    assert "not a path out of it" in ack.error
    assert control.commands() == []
    until(lambda: control.status.refused == refused + 1)


def test_too_many_commands_are_refused(control, listener, monkeypatch):
    monkeypatch.setattr(control_module, "MAX_WAITING_COMMANDS", 3)
    for number in range(5):
        listener.say({"id": f"many-{number}", "command": "pause"})
    until(lambda: len(listener.acks()) == 2)
    assert {ack.id: ack.ok for ack in listener.acks()} == {"many-3": False, "many-4": False}
    waiting = control.commands()
    assert [command.id for command in waiting] == ["many-0", "many-1", "many-2"]
    for command in waiting:
        control.acknowledge(command)
    listener.say({"id": "many-3", "command": "pause"})
    again = next_command(control)
    assert again.id == "many-3", "what was refused may be sent again"
    control.acknowledge(again)
    until(lambda: len(listener.acks()) == 6)  # none is left for who listens next


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.lists(payloads() | st.integers(4097, 6000).map(bytes), min_size=1, max_size=10))
def test_no_payload_does_anything_but_what_it_validly_says(control, listener, batch):
    def valid(payload):
        try:
            parse_command(payload)
        except CommandError:
            return False
        return True

    bad = [payload for payload in batch if payload and not valid(payload)]
    before, refused = len(listener.acks()), control.status.refused
    for payload in bad:
        listener.say(payload)
    end = f"end-{time.monotonic_ns()}"
    listener.say({"id": end, "command": "resume"})
    command = next_command(control)
    assert command.id == end, "nothing else got through"
    control.acknowledge(command)
    until(lambda: len(listener.acks()) == before + len(bad) + 1)
    *errors, last = listener.acks()[before:]
    assert not any(ack.ok for ack in errors)
    assert all(ack.error for ack in errors)
    assert last.ok
    until(lambda: control.status.refused == refused + len(bad))


def test_mosquittos_own_clients_can_listen_and_steer(mosquitto):
    with Control(ControlSettings(url=mosquitto.url), "P01", SPACE) as control:
        control.set_state("running")
        assert control.wait_connected(PATIENCE_S)
        with mosquitto.hear(f"{PREFIX}/ack", 2) as ears:
            mosquitto.publish(f"{PREFIX}/cmd", {"id": "1", "command": "mark", "args": {"text": "blink"}})
            command = next_command(control)
            assert command.args == {"text": "blink"}
            control.acknowledge(command)
            assert json.loads(ears.stdout.readline())["ok"]
            mosquitto.publish(f"{PREFIX}/cmd", "start please")
            said, _ = ears.communicate(timeout=PATIENCE_S)
        assert not json.loads(said)["ok"]
        with mosquitto.hear(f"{PREFIX}/state", 2) as ears:
            os.kill(control.pid, signal.SIGKILL)
            said, _ = ears.communicate(timeout=PATIENCE_S)
        assert [json.loads(line)["state"] for line in said.splitlines()] == ["running", "offline"], "the last will"


def test_events_beyond_the_bound_are_counted():
    control = Control(ControlSettings(url=f"mqtt://127.0.0.1:{free_port()}"), "P01", SPACE)
    began = time.monotonic()
    with control:
        for trial in range(6000):
            control.publish(percept(trial))
        until(lambda: control.status.dropped >= 2000, what="drops")
        assert not control.status.connected
        control.publish(Frame(1, 1, 1, np.zeros((8, 8, 3), np.uint8), {}, 1))
        dropped = control.status.dropped
        until(lambda: control.status.dropped > dropped, what="the picture nobody sees")
        assert "no connection" in control.status.text
    assert time.monotonic() - began < PATIENCE_S, "neither telling nor ending waits for a broker"


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_it_is_told_and_comes_back_with_the_state(mosquitto, harm):
    told = []
    with Control(ControlSettings(url=mosquitto.url), "P01", SPACE) as control:
        control.tell_deaths(told.append)
        control.set_state("paused", why="break")
        assert control.wait_connected(PATIENCE_S)
        with closing(Listener(mosquitto.url)) as listener:
            listener.say({"id": "1", "command": "pause"})
            control.acknowledge(next_command(control))
            until(listener.acks)
            os.kill(control.pid, harm)
            until(lambda: told)
            assert told[0].startswith("the control process " + ("died" if harm == signal.SIGKILL else "hangs"))
            until(lambda: control.status.restarts == 1)
            until(lambda: control.status.connected)
            until(lambda: json.loads(listener.heard("state")[-1])["state"] == "paused")
            listener.say({"id": "1", "command": "pause"})
            until(lambda: [ack.id for ack in listener.acks()] == ["1", "1"])
            assert control.commands() == [], "what was done stays done"
    with mosquitto.hear(f"{PREFIX}/state", 1) as ears:
        said, _ = ears.communicate(timeout=PATIENCE_S)
    assert json.loads(said)["state"] == "offline"


def test_a_broker_that_goes_and_comes_back_is_told_once_each(mosquitto):
    told = []
    with Control(ControlSettings(url=mosquitto.url), "P01", SPACE) as control:
        control.tell_deaths(told.append)
        assert control.wait_connected(PATIENCE_S)
        mosquitto.kill()
        until(lambda: told)
        mosquitto.start()
        until(lambda: len(told) == 2)
    assert told[0].startswith(f"no connection to {mosquitto.url}: ")
    assert told[1].startswith(f"connected to {mosquitto.url}")


def test_names_that_no_topic_can_hold():
    assert topic_name("P01/morning+#") == "P01-morning--"
    assert topic_name("  ") == "session"
    assert topic_name("übung \ud800") == "übung ?"
