"""A live session steered and heard by mosquitto's own clients."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest

import perceptogram
from realtime.recording.latency_log import read_percepts

pytestmark = [pytest.mark.processes, pytest.mark.slow]
PATIENCE_S = 120


class Outside:
    """Another program: mosquitto_sub hears, mosquitto_pub asks."""

    def __init__(self, broker, topics):
        self._broker = broker
        self._ears = broker.hear(topics, 10_000, "-v")
        self.events = []
        self._commands = 0

    def until(self, wanted):
        """Return the next message for which `wanted(topic, content)` holds; keep all that pass."""
        while line := self._ears.stdout.readline():
            topic, _, content = line.rstrip("\n").partition(" ")
            if topic == "tests/ready":  # another listener has begun
                continue
            self.events.append((topic.rsplit("/", 1)[-1], json.loads(content)))
            if wanted(*self.events[-1]):
                return self.events[-1][1]
        pytest.fail(f"the broker went away; heard: {[event[0] for event in self.events]}")

    def find(self, wanted):
        """Return the latest message for which `wanted` holds, or wait for the first."""
        kept = [content for topic, content in self.events if wanted(topic, content)]
        return kept[-1] if kept else self.until(wanted)

    def ask(self, command, **args):
        """Send a command and return its answer."""
        self._commands += 1
        number = f"{command}-{self._commands}"
        record = {"id": number, "command": command, "args": args}
        self._broker.publish("perceptogram/v1/script/session/cmd", record)
        return self.until(lambda topic, content: topic == "ack" and content["id"] == number)

    def close(self):
        self._ears.kill()
        self._ears.communicate()


@pytest.fixture
def outside(mosquitto):
    program = Outside(mosquitto, "perceptogram/v1/script/session/#")
    yield program
    program.close()


def test_another_program_chooses_pictures_and_ends_the_session(live_participant, mosquitto, outside, tmp_path):
    command = [sys.executable, "-P", "-m", "perceptogram", "run", "--headless", "--show-pictures"]
    command += ["--config", str(live_participant.config_file), "--bundle", str(live_participant.bundle_folder)]
    command += ["--mqtt", mosquitto.url, "--out", str(tmp_path)]
    frames = mosquitto.hear("perceptogram/v1/script/renderer/frame", 10_000, "-F", "%l bytes")
    session = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    names = perceptogram.open_pictures(live_participant.config.pictures, "test").names
    try:
        outside.until(lambda topic, content: topic == "state" and content["state"] == "running")
        assert outside.ask("show", picture="no such picture")["ok"] is False
        # Before the filters have settled a picture is shown and its window refused, which is told.
        percept = None
        while percept is None:
            assert outside.ask("show", picture=names[0])["ok"]
            told = outside.until(lambda _, content: content.get("kind") in ("percept", "refused"))
            percept = told if told["kind"] == "percept" else None
        assert percept["picture"] == names[0]
        embedding = np.frombuffer(base64.b64decode(percept["embedding"]["float16"]), "<f2")
        assert len(embedding) == live_participant.bundle.space.dims
        assert 0 <= percept["confidence"] <= 1

        assert outside.ask("set_threshold", confidence=0.25)["ok"]
        assert outside.ask("set_steps", steps=2)["ok"]
        state = outside.find(lambda topic, content: topic == "state" and content["details"].get("steps") == 2)
        assert state["details"]["abstain_below"] == 0.25
        assert outside.ask("set_steps", steps=0)["ok"] is False
        assert outside.ask("mark", text="the door was opened")["ok"]

        assert outside.ask("pause")["ok"]
        assert outside.ask("show", picture=names[1])["ok"]
        refused = outside.until(lambda _, content: content.get("kind") == "refused")
        assert "paused" in refused["data"]["reason"]
        assert outside.ask("resume")["ok"]
        assert outside.ask("stop")["ok"]
        stopped = outside.until(lambda topic, content: topic == "state" and content["state"] == "stopped")
        assert stopped["details"]["n_trials"] >= 1
        complaints = session.communicate(timeout=PATIENCE_S)[1]
        assert session.returncode == 0, complaints
    finally:
        session.kill()
        session.communicate()
        frames.kill()
        painted = frames.communicate()[0].splitlines()
    assert painted
    assert all(int(line.split()[0]) > 1000 for line in painted)
    kinds = {content.get("kind") for topic, content in outside.events if topic == "event"}
    assert {"percept", "quality", "ledger", "note", "show", "refused"} <= kinds
    numbers = [content["seq"] for topic, content in outside.events if topic == "event"]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    records = read_percepts(tmp_path / "percepts.jsonl")
    assert any(record.get("picture") == names[0] for record in records)
    assert "the door was opened" in _percept_stream(tmp_path / "recording.xdf")


def _percept_stream(path):
    import pyxdf

    streams, _ = pyxdf.load_xdf(str(path))
    return "".join(
        text for stream in streams if "percepts" in stream["info"]["name"][0] for (text,) in stream["time_series"]
    )
