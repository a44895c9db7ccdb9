"""Addresses, waiting letters and the connection that comes back."""

import os
import socket
import ssl
import subprocess
import threading
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import ConfigError, ControlSettings, parse_config
from realtime.mqtt.address import PASSWORD, USER, Address, BrokerError, broker_address
from realtime.mqtt.link import Letter, Link
from realtime.processes.outbox import Outbox
from tests.support.mosquitto import free_port, until

SECRET = {USER: "lab", PASSWORD: "s3cret"}


@pytest.mark.parametrize(
    ("settings", "environment", "wanted"),
    [
        ({"url": "mqtt://127.0.0.1"}, {}, "mqtt://127.0.0.1:1883"),
        ({"url": "mqtt://localhost:1884"}, {}, "mqtt://localhost:1884"),
        ({"url": "mqtt://[::1]:1884"}, {}, "mqtt://[::1]:1884"),
        ({"url": "127.0.0.1"}, {}, "mqtt://127.0.0.1:1883"),
        ({"url": "localhost:1884"}, {}, "mqtt://localhost:1884"),
        ({"url": "[::1]"}, {}, "mqtt://[::1]:1883"),
        ({"url": "mqtts://lab.example"}, SECRET, "mqtts://lab.example:8883"),
        ({"url": "mqtt://lab.example", "allow_remote": True}, {}, "mqtt://lab.example:1883"),
    ],
)
def test_addresses_that_may_be_used(settings, environment, wanted):
    address = broker_address(ControlSettings(**settings), environment)
    assert str(address) == wanted
    assert address.user == environment.get(USER)
    assert "s3cret" not in repr(address)


@pytest.mark.parametrize(
    ("settings", "environment", "complaint"),
    [
        ({}, {}, "set control.url"),
        ({"url": "mqtt://lab.example"}, {}, r"lacks TLS \(mqtts://\) and credentials"),
        ({"url": "mqtt://lab.example"}, SECRET, r"lacks TLS \(mqtts://\);"),
        ({"url": "mqtts://lab.example"}, {}, "lacks credentials;"),
        ({"url": "mqtt://127.0.0.1.evil.example"}, {}, "another machine"),
        ({"url": "mqtt://127.0.0.1:99999"}, {}, "between 1 and 65535"),
        ({"url": "mqtt://127.0.0.1"}, {PASSWORD: "x"}, f"{USER} is not"),
        ({"url": "mqtt://127.0.0.1", "credentials": "nowhere.txt"}, {}, "nowhere.txt: No such file"),
        ({"url": "mqtts://127.0.0.1", "ca_file": "nowhere.pem"}, {}, "ca_file nowhere.pem"),
    ],
)
def test_addresses_that_may_not_be_used(settings, environment, complaint):
    with pytest.raises(BrokerError, match=complaint):
        broker_address(ControlSettings(**settings), environment)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "mqtt://user:word@127.0.0.1", "mqtt://", "mqtt://a/b", "1883", "a b", "u:w@a"]
)
def test_urls_that_are_none_and_passwords_in_urls_are_refused(url):
    with pytest.raises(ConfigError, match=r"control\.url: give mqtt://host:port"):
        parse_config({"control": {"url": url}}, "test")


@pytest.mark.parametrize("root", ["a/b", "perceptogram"])
def test_roots(root):
    assert parse_config({"control": {"root": root}}, "test").control.root == root


@pytest.mark.parametrize("root", ["", "a/#", "+", "$SYS", "/a", "a/", "a//b"])
def test_roots_that_are_no_topics(root):
    with pytest.raises(ConfigError, match=r"control\.root"):
        parse_config({"control": {"root": root}}, "test")


def test_credentials_come_from_a_file(tmp_path, caplog):
    file = tmp_path / "mqtt.txt"
    file.write_text("lab\npass word \n", encoding="utf-8")
    file.chmod(0o600)
    settings = ControlSettings(url="mqtt://127.0.0.1", credentials=file)
    address = broker_address(settings, SECRET)
    assert (address.user, address.password) == ("lab", "pass word ")
    assert not caplog.records
    if os.name == "posix":
        file.chmod(0o644)
        broker_address(settings, {})
        assert "chmod 600" in caplog.text
    file.write_text("lab\n", encoding="utf-8")
    with pytest.raises(BrokerError, match="two lines"):
        broker_address(settings, {})


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)) | st.none(), max_size=60))
def test_outbox_is_bounded_ordered_and_counts(plan):
    capacities = {"a": 2, "b": 3}
    outbox = Outbox(capacities)
    model = {lane: deque(maxlen=size) for lane, size in capacities.items()}
    dropped = 0
    for step in plan:
        if step is None:
            wanted = next((lane.popleft() for lane in model.values() if lane), None)
            assert outbox.take() == wanted
        else:
            lane, item = step
            full = len(model[lane]) == capacities[lane]
            dropped += full
            model[lane].append(item)
            assert outbox.put(lane, item) is not full
    assert len(outbox) == sum(map(len, model.values()))
    assert outbox.dropped == dropped


class Ears:
    def __init__(self):
        self.letters = []
        self.changes = []

    def payloads(self, topic):
        return [letter.payload for letter in self.letters if letter.topic == topic]


def make_link(url, state_topic="t/state", subscriptions=("t/#",), **more):
    ears = Ears()
    host, port = url.removeprefix("mqtt://").split(":")
    address = Address(host, int(port), **more)
    link = Link(address, state_topic, b"bye", subscriptions, ears.letters.append, ears.changes.append)
    return link.start(), ears


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
def test_letters_go_and_come(mosquitto, protocol):
    link, ears = make_link(mosquitto.url, protocol=protocol)
    assert link.wait_connected(10)
    assert f"MQTT {'5' if protocol == 'auto' else protocol}" in link.text
    link.set_state(b"here")
    link.send("event", Letter("t/a", b"1", qos=1))
    link.send("frame", Letter("t/b", b"\xff\x00"))
    until(lambda: len(ears.letters) >= 3)
    assert ears.payloads("t/a") == [b"1"]
    assert ears.payloads("t/b") == [b"\xff\x00"]
    assert ears.payloads("t/state") == [b"here"]
    assert link.stop()
    late, heard = make_link(mosquitto.url, "t/other")
    until(lambda: heard.letters)
    assert heard.letters[0] == Letter("t/state", b"bye", 1, retain=True)
    late.stop()


def test_letters_outlive_a_broker_that_dies(mosquitto):
    link, ears = make_link(mosquitto.url)
    assert link.wait_connected(10)
    link.set_state(b"here")
    until(lambda: ears.payloads("t/state") == [b"here"])
    mosquitto.kill()
    until(lambda: not link.connected)
    assert "no connection" in link.text
    for number in range(50):
        link.send("event", Letter("t/a", b"%d" % number, qos=1))
    for number in range(20):
        link.send("frame", Letter("t/b", b"%d" % number))
    mosquitto.start()
    until(lambda: len(ears.payloads("t/b")) == 8)
    assert ears.payloads("t/a") == [b"%d" % number for number in range(50)]
    assert ears.payloads("t/b") == [b"%d" % number for number in range(12, 20)]
    assert link.dropped == 12
    assert ears.payloads("t/state") == [b"here", b"here"], "the state is retained again by the new broker"
    assert ears.changes == [True, False, True]
    link.stop()


@pytest.mark.parametrize(("protocol", "told"), [("5", True), ("3.1.1", False)])
def test_who_listens_is_told_what_was_sent_to_be_kept_where_the_protocol_can(mosquitto, protocol, told):
    link, ears = make_link(mosquitto.url, protocol=protocol)
    assert link.wait_connected(10)
    link.send("event", Letter("t/a", b"kept", qos=1, retain=True))
    until(lambda: ears.letters)
    assert ears.letters == [Letter("t/a", b"kept", 1, retain=told)]
    link.stop()


def test_handler_that_raises_does_not_cost_the_connection(mosquitto, caplog):
    heard = threading.Event()

    def take(letter):
        if letter.payload == b"bad":
            raise RuntimeError(letter.topic)
        heard.set()

    link = Link(Address("127.0.0.1", mosquitto.port), "t/state", b"bye", ["t/a"], take).start()
    assert link.wait_connected(10)
    link.send("event", Letter("t/a", b"bad", qos=1))
    link.send("event", Letter("t/a", b"good", qos=1))
    assert heard.wait(10)
    assert link.connections == 1
    assert "could not be handled" in caplog.text
    link.stop()


def test_stopping_without_a_broker_is_quick():
    link, _ = make_link(f"mqtt://127.0.0.1:{free_port()}")
    link.send("event", Letter("t/a", b"1", qos=1))
    until(lambda: "no connection" in link.text)
    assert not link.stop(2.0), "the letter was not sent, and stop says so"


def test_user_and_password_are_asked_for(make_mosquitto, tmp_path):
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "lab", "s3cret"], check=True, capture_output=True)
    Path(passwords).chmod(0o644)
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)
    broker = make_mosquitto("allow_anonymous false", f"password_file {passwords}")
    stranger, _ = make_link(broker.url)
    until(lambda: "ot authori" in stranger.text)
    friend, _ = make_link(broker.url, user="lab", password="s3cret")
    assert friend.wait_connected(10)
    stranger.stop()
    friend.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves a socket it refused open
def test_tls(make_mosquitto, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    for file in (key, certificate):
        file.chmod(0o644)
    for parent in (folder, *list(folder.parents)[:2]):
        parent.chmod(0o755)
    broker = make_mosquitto("allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    doubtful, _ = make_link(broker.url, tls=True)
    until(lambda: "certificate" in doubtful.text.lower())
    trusting, _ = make_link(broker.url, tls=True, ca_file=certificate)
    assert trusting.wait_connected(10)
    doubtful.stop()
    trusting.stop()
    assert isinstance(Address("127.0.0.1", 1, tls=True).tls_context(), ssl.SSLContext)


def test_a_socket_that_is_closed_before_it_is_watched_is_no_traceback_and_other_failures_are(caplog):
    """After a laptop was suspended the broker has ended the connection, and paho closes it between two callbacks."""
    link = Link(Address("127.0.0.1", free_port()), None, b"", (), lambda _letter: None).start()
    until(lambda: link.away, what="the first try")
    closed = socket.socket()
    number = closed.fileno()
    closed.close()
    link._loop.call_soon_threadsafe(link._loop.add_writer, number, print)
    link._loop.call_soon_threadsafe(int, "seven")
    until(lambda: "seven" in caplog.text, what="the other failure")
    link.stop()
    assert "Bad file descriptor" not in caplog.text
