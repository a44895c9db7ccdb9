"""A real mosquitto on a free loopback port, which tests may kill and start again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

MOSQUITTO = shutil.which(
    "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
)
PATIENCE_S = 90.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, timeout_s=PATIENCE_S, what="condition"):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} not within {timeout_s:g} s"
        time.sleep(0.01)


class Mosquitto:
    def __init__(self, folder: Path, *extra: str) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "persistence false",
            "set_tcp_nodelay true",
            # Started by root it would become a user who may not read what lies in the tests' folders.
            *(("user root",) if os.geteuid() == 0 else ()),
            *(extra or ("allow_anonymous true",)),
        )
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._listens, what="mosquitto")
        return self

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"mosquitto ended with {self._process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def publish(self, topic: str, message: str | bytes | dict, *options: str) -> None:
        """Say it with mosquitto's own client."""
        content = json.dumps(message) if isinstance(message, dict) else message
        subprocess.run(
            ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-t", topic, "-s", *options],
            input=content if isinstance(content, bytes) else content.encode(),
            check=True,
            timeout=PATIENCE_S,
        )

    def hear(self, topic: str, count: int, *options: str) -> subprocess.Popen[str]:
        """Listen with mosquitto's own client until `count` messages came; it listens when this returns.

        `options` are its own, such as ``-v`` to print topics too.
        """
        self.publish("tests/ready", "ready", "-r")
        told = ("-h", "127.0.0.1", "-p", str(self.port), "-q", "1", "-t", "tests/ready", "-t", topic)
        ears = subprocess.Popen(
            ["mosquitto_sub", *told, *options, "-C", str(count + 1)], stdout=subprocess.PIPE, text=True, bufsize=1
        )
        heard = b" "
        while heard not in (b"\n", b""):
            heard = os.read(ears.stdout.fileno(), 1)  # what a buffer read ahead, `communicate` would never see
        assert heard, "mosquitto_sub ended before it listened"
        return ears


@pytest.fixture(scope="session")
def make_mosquitto(tmp_path_factory):
    if MOSQUITTO is None or shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto and its clients are not installed: apt-get install mosquitto mosquitto-clients")
    made = []

    def make(*extra):
        made.append(Mosquitto(tmp_path_factory.mktemp("mosquitto"), *extra))
        return made[-1].start()

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def mosquitto(make_mosquitto):
    broker = make_mosquitto()
    yield broker
    broker.kill()
