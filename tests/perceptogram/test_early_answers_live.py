"""Answers before the window ends, through real processes: what a live session said, a replay of its recording says."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import pylsl
import pytest
import yaml

import perceptogram
from configs.schema import Config
from realtime.decoding.evidence import Percept
from realtime.recording.latency_log import read_percepts, trial_times
from tests.support.command import perceptogram as command
from tests.support.virtual_screen import virtual_screen

pytestmark = [pytest.mark.processes, pytest.mark.slow]

TIMES_S = (0.15, 0.3, 0.4, 0.6)


@dataclass(frozen=True)
class Lived:
    """A live session that is over."""

    config: Config
    out: Path
    bundle: Path
    answers: list[Percept]
    heard: list[Percept]
    outlet: list[dict]


@pytest.fixture(scope="module")
def lived(live_participant, tmp_path_factory):
    """Four pictures are shown, with the display open, and another program listens to the percepts."""
    folder = tmp_path_factory.mktemp("early")
    given = {"answer_at_s": TIMES_S, "decide_above": 1.0, "preview_above": 0.0}
    evidence = live_participant.config.evidence.model_copy(update=given)
    config = live_participant.config.model_copy(update={"evidence": evidence})
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 4, seed=0)
    heard, outlet = [], []

    async def script():
        session = perceptogram.Session(
            config, live_participant.bundle, out=folder / "live", show_pictures=True, headless=True, window=True
        )
        async with session:
            (stream,) = pylsl.resolve_byprop("name", f"{config.name} percepts", timeout=60)
            inlet = pylsl.StreamInlet(stream)
            inlet.open_stream(20)
            told = asyncio.create_task(_collect(session.percepts(), heard))
            await session.settled()
            answers = [await session.show(picture) for picture in pictures]
            while len([one for one in outlet if one["kind"] == "percept"]) < 5 * len(pictures):
                (text,), _ = await asyncio.to_thread(inlet.pull_sample, 20)
                outlet.append(json.loads(text))
        await told
        return answers

    with pytest.MonkeyPatch.context() as patched, virtual_screen(patched, "1280x720"):
        answers = asyncio.run(script())
    return Lived(config, folder / "live", live_participant.bundle_folder, answers, heard, outlet)


async def _collect(items, into):
    async for item in items:
        into.append(item)


def said(folder):
    """What a session said of each trial at each time."""
    records = [record for record in read_percepts(folder / "percepts.jsonl") if "neighbours" in record]
    return {(record["picture"], record["repeats"], record["at_s"]): record for record in records}


def test_scripts_streams_and_log_are_told_the_time(lived):
    assert [answer.at_s for answer in lived.answers] == [None] * 4
    expected = [(answer.trial, at_s) for answer in lived.answers for at_s in (*TIMES_S, None)]
    assert [(one.trial, one.at_s) for one in lived.heard] == expected
    assert [(one["trial"], one["at_s"]) for one in lived.outlet if one["kind"] == "percept"] == expected
    assert sorted(said(lived.out), key=str) == sorted(
        [(answer.picture, 1, at_s) for answer in lived.answers for at_s in (*TIMES_S, None)], key=str
    )


def test_a_replay_says_the_same_at_every_time(lived, tmp_path):
    """As far as filters forget with which sample they began: live it was another one."""
    file = tmp_path / "early.yaml"
    file.write_text(yaml.safe_dump(lived.config.model_dump(mode="json", exclude_unset=True)))
    done = command(
        "replay", lived.out / "recording.xdf", "--config", file, "--bundle", lived.bundle, "--out", tmp_path / "o",
        "--no-render",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    live, again = said(lived.out), said(tmp_path / "o")
    assert again.keys() == live.keys()
    for key, record in again.items():
        before = live[key]
        assert record["confidence"] == pytest.approx(before["confidence"], rel=0.1), key
        assert record["two_way"] == pytest.approx(before["two_way"], abs=0.02), key


def test_the_ledger_tells_when_a_preview_was_asked_for_painted_and_seen(lived):
    """Asked for before the window ends; how soon it is heard, painted and seen is the machine's doing."""
    times = trial_times(read_percepts(lived.out / "percepts.jsonl"))
    assert len(times) == 4
    assert any(one["preview_requested"] < one["last_sample"] for one in times)
    seen = [one for one in times if "preview_shown" in one]
    assert seen
    assert all(one["preview_requested"] < one["preview"] < one["preview_shown"] for one in seen)
