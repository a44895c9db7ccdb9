"""Streams of other people's programs on the same network: whatever they say of themselves, ours are found and read."""

import json
import subprocess
import sys
import uuid

import pylsl
import pytest

from configs.schema import MarkerSettings, StreamSettings
from realtime.sources.base import Chunk
from realtime.sources.lsl import LslSource, find_streams
from realtime.sources.metadata import MOST_CHANNELS
from tests.support.lsl_amplifier import Amplifier


@pytest.fixture
def name():
    return f"amp-{uuid.uuid4().hex[:8]}"


def run(*arguments):
    command = [sys.executable, "-m", "perceptogram", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def strange(name):
    """Return outlets whose metadata XML forbids, whose control characters would move the cursor, and that boast."""
    broken = pylsl.StreamInfo(f"{name}\x02\x1b[2J", "Mi\x07sc", 1, 0, "float32", "sensor\x01")
    broken.desc().append_child_value("note", "a\x05b")
    return [pylsl.StreamOutlet(info) for info in (broken, pylsl.StreamInfo(name, "EEG", MOST_CHANNELS + 1, 0, "int8"))]


def test_a_name_with_control_characters_is_shown_without_them_and_a_boaster_is_passed_over(name, tmp_path):
    outlets = strange(name)
    listed = run("streams", "--wait", 1.5, "--json", tmp_path / "found.json")
    assert listed.returncode == 0, listed.stderr
    found = [stream for stream in json.loads((tmp_path / "found.json").read_text()) if stream["name"].startswith(name)]
    assert [(stream["name"], stream["type"]) for stream in found] == [(f"{name}��[2J", "Mi�sc")]
    assert "\x1b" not in listed.stdout
    assert f"{name!r} claims {MOST_CHANNELS + 1} channels" in listed.stderr
    del outlets


def test_a_session_reads_its_own_stream_and_finds_it_again_beside_them(name):
    outlets = strange(name)
    with Amplifier(name, "id") as amplifier:
        source = LslSource(StreamSettings(name=name, source_id="id"), MarkerSettings(name=f"{name}-markers"))
        try:
            kinds = []
            for event in source.events():
                kinds.append(type(event) if isinstance(event, Chunk) else getattr(event, "kind", ""))
                if kinds.count(Chunk) == 10 and "lost" not in kinds:
                    amplifier.kill()
                    amplifier.start()
                if "reconnected" in kinds and kinds[-1] is Chunk:
                    break
        finally:
            source.close()
    assert "restarted" not in kinds, "the reading process lived through it"
    del outlets


def test_what_a_strange_stream_says_inside_is_read_too(name):
    info = pylsl.StreamInfo(f"{name}\x02", "EEG", 1, 100, "float32", "odd")
    channel = info.desc().append_child("channels").append_child("channel")
    channel.append_child_value("label", "C\x05z")
    channel.append_child_value("unit", "microvolts")
    outlet = pylsl.StreamOutlet(info)
    (told,) = [stream for stream in find_streams(1.5) if stream.name.startswith(name)]
    source = LslSource(StreamSettings(name=told.name))
    source.close()
    assert source.spec.channels == ("C�z",)
    del outlet
