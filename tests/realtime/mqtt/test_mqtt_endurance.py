"""Half an hour of percepts in 16 s, with the broker killed three times; mosquitto's own clients are the outside."""

import json
import re
import subprocess
import threading
import time
from itertools import pairwise

import numpy as np
import pytest

from configs.schema import ControlSettings
from realtime.control.control import Control
from realtime.decoding.evidence import Percept
from realtime.decoding.gallery import Neighbour
from realtime.spaces import EmbeddingSpace
from tests.support.mosquitto import until

pytestmark = [pytest.mark.processes, pytest.mark.realtime]

SPACE = EmbeddingSpace("tiny", "random", 64)
PREFIX = "perceptogram/v1/P01/session"
PERCEPTS = 30 * 60 * 5
SECONDS = 16.0
OUTAGES = ((2.0, 0.6), (5.0, 0.6), (8.0, 5.0))
"""When the broker dies, and for how long: the last one outlasts the events that may wait."""


def percept(trial):
    embedding = np.full(SPACE.dims, trial / PERCEPTS, np.float32)
    return Percept(trial, "drawn-1", embedding, 1, 0.5, (Neighbour("drawn-1", "fish", 0.25),), (), {"onset": 1.0})


class Ears:
    """``mosquitto_sub``, read in a thread; started again whenever it gave up."""

    def __init__(self, broker):
        self._broker, self._closing = broker, threading.Event()
        self.events, self.acks = [], []
        self._process = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(self._broker.port), "-q", "1", "-v"]
        command += ["-t", f"{PREFIX}/event", "-t", f"{PREFIX}/ack"]
        while not self._closing.wait(0.05):
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            with self._process as process:
                for line in process.stdout:
                    topic, _, content = line.partition(" ")
                    (self.acks if topic.endswith("ack") else self.events).append(json.loads(content))

    def acknowledged(self):
        return {ack["id"] for ack in list(self.acks) if ack["ok"]}

    def close(self):
        self._closing.set()
        self._process.kill()
        self._thread.join()


def steer(broker, ears, ended):
    """Send one command after another, each until its acknowledgement is heard; return those that were."""
    number = 0
    while not ended.is_set():
        name = f"mark-{number}"
        message = json.dumps({"id": name, "command": "mark", "args": {"text": str(number)}})
        command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1"]
        sent = subprocess.run([*command, "-t", f"{PREFIX}/cmd", "-m", message], capture_output=True, check=False)
        patience = time.monotonic() + 1.0
        while sent.returncode == 0 and name not in ears.acknowledged() and time.monotonic() < patience:
            ended.wait(0.02)
        number += name in ears.acknowledged()
        ended.wait(0.2)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_half_an_hour_of_percepts_while_the_broker_dies_three_times(make_mosquitto, tmp_path_factory):
    log = tmp_path_factory.mktemp("endurance") / "mosquitto.log"
    broker = make_mosquitto("allow_anonymous true", f"log_dest file {log}", "log_type all")
    faults, ended = [], threading.Event()
    ears = Ears(broker)
    with Control(ControlSettings(url=broker.url), "P01", SPACE) as control:
        assert control.wait_connected(20), control.status
        began = time.monotonic()

        def unreliable():
            try:
                for at, lasting in OUTAGES:
                    ended.wait(began + at - time.monotonic())
                    broker.kill()
                    ended.wait(lasting)
                    broker.start()
            except BaseException as error:
                faults.append(error)

        workers = [
            threading.Thread(target=unreliable),
            threading.Thread(target=steer, args=(broker, ears, ended)),
        ]
        for one in workers:
            one.start()
        done, waits = [], []
        for trial in range(PERCEPTS):
            before = time.perf_counter()
            control.publish(percept(trial))
            for command in control.commands():
                done.append(command.id)
                control.acknowledge(command)
            waits.append(time.perf_counter() - before)
            due = began + (trial + 1) * SECONDS / PERCEPTS
            if due > time.monotonic():
                threading.Event().wait(due - time.monotonic())
        workers[0].join()
        ended.set()
        workers[1].join()
        assert not faults
        until(lambda: control.status.connected, what="the broker again")
        until(lambda: ears.events and ears.events[-1]["seq"] == PERCEPTS, what="the last percept")
        for command in control.commands():
            done.append(command.id)
            control.acknowledge(command)
        until(lambda: ears.acknowledged() >= set(done[-1:]), what="the last acknowledgement")
        status = control.status
    ears.close()
    print(f"waits: median {1e6 * np.median(waits):.0f} µs, longest {1e3 * max(waits):.1f} ms; {status}")  # noqa: T201

    assert np.median(waits) < 1e-3
    assert max(waits) < 0.5, "the session never stalls"
    assert len(done) == len(set(done)) >= 10, "no command took effect twice"
    assert ears.acknowledged() <= set(done), "what was acknowledged took effect"
    assert status.restarts == 0
    # Every percept either reached the broker, which keeps its own log, or was counted as dropped.
    arrived = re.findall(rf"Received PUBLISH from .*'{PREFIX}/event'", log.read_text(errors="replace"))
    again = len(OUTAGES)  # a letter whose confirmation was cut off is sent once more
    assert status.dropped > 0, "an outage this long costs events"
    assert PERCEPTS - status.dropped <= len(arrived) <= PERCEPTS - status.dropped + again
    numbers = [event["seq"] for event in ears.events]
    assert len(set(numbers)) <= PERCEPTS - status.dropped
    assert sum(later <= earlier for earlier, later in pairwise(numbers)) <= again, "in order"
