import os
import signal
import socket

import pytest

from configs.schema import ControlSettings
from realtime.control.control import Control
from realtime.mqtt.address import BrokerError
from realtime.mqtt.embedded_broker import EmbeddedBroker, check_broker
from tests.support.mosquitto import free_port, until

pytestmark = pytest.mark.processes

pytest.importorskip("amqtt", reason="the built-in broker needs amqtt")


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_serves_a_session_and_ends():
    port = free_port()
    with EmbeddedBroker(port) as broker:
        assert broker.pid != os.getpid()
        assert listens(port)
        with Control(ControlSettings(url=broker.url), "P01") as control:
            assert control.wait_connected(20)
            assert "MQTT 3.1.1" in control.status.text
    assert not listens(port)
    broker.stop()


def test_a_session_outlives_it():
    port = free_port()
    with EmbeddedBroker(port) as broker, Control(ControlSettings(url=broker.url), "P01") as control:
        assert control.wait_connected(20)
        os.kill(broker.pid, signal.SIGKILL)
        until(lambda: not control.status.connected)
        with EmbeddedBroker(port):
            until(lambda: control.status.connected)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"cannot listen on 127.0.0.1:{port}: .*in use"), EmbeddedBroker(port):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "lab.example", "::"])
def test_it_listens_on_loopback_only(host):
    with pytest.raises(BrokerError, match="loopback only"):
        EmbeddedBroker(1883, host)


def test_what_to_install_is_said(monkeypatch):
    monkeypatch.setattr("realtime.mqtt.embedded_broker.find_spec", lambda _name: None)
    with pytest.raises(BrokerError, match=r"perceptogram-live\[broker\]"):
        check_broker("127.0.0.1")
