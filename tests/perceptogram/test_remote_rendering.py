"""A live session whose pictures are painted by two workers, one of which is killed in the middle."""

import asyncio
import subprocess
import sys
from collections import Counter

import pytest

import perceptogram
from configs.schema import parse_config
from realtime.recording.latency_log import read_percepts, trial_times

pytestmark = pytest.mark.processes

SHOWN = 10


def worker(broker):
    command = [sys.executable, "-P", "-m", "perceptogram", "worker", "--broker", broker.url, "--threads", "1"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_every_trial_gets_its_final_picture_once_although_a_worker_dies(live_participant, mosquitto, tmp_path):
    content = live_participant.config.model_dump(exclude_unset=True)
    content["render"] = content.get("render", {}) | {"remote": True, "steps": 4}
    config = parse_config(content | {"control": {"url": mosquitto.url}}, "test")
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), SHOWN, seed=3)
    workers = [worker(mosquitto), worker(mosquitto)]
    finals = Counter()

    async def script():
        session = perceptogram.Session(
            config, live_participant.bundle, out=tmp_path, show_pictures=True, headless=True, candidates=pictures
        )
        decoded = []
        async with session:
            frames = session.frames()
            await session.settled()
            for picture in pictures:
                percept = await session.show(picture)
                decoded.append(percept.trial)
                if len(decoded) == 4:
                    workers[0].kill()
        async for frame in frames:
            finals[frame.trial] += frame.final
        return session, decoded

    try:
        session, decoded = asyncio.run(script())
    finally:
        for one in workers:
            one.kill()
            one.communicate()
    assert len(decoded) == SHOWN == session.summary["n_trials"]
    assert finals == dict.fromkeys(decoded, 1)
    records = [record for record in read_percepts(tmp_path / "percepts.jsonl") if "neighbours" in record]
    assert all((tmp_path / record["file"]).stat().st_size > 1000 for record in records)
    for times in trial_times(records):
        stages = ["onset", "last_sample", "arrived", "embedding", "requested", "first_picture", "final_picture"]
        assert [stage for stage in times if stage in stages] == stages, "in this order, on the session's clock"
        assert "marker" in times
        assert times["picture_4"] == times["final_picture"]
