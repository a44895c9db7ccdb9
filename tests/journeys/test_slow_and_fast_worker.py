"""A session asks for pictures faster than they can be painted, of workers of which one is slow."""

import time

import numpy as np
import pytest
from pylsl import local_clock

from configs.schema import ControlSettings, RenderSettings
from realtime.rendering.messages import RenderRequest
from realtime.rendering.remote.renderer import RemoteRenderer
from tests.support.remote_worker import SPACE, WorkerProcess

pytestmark = pytest.mark.realtime

EVERY_S = 0.2
PATIENCE_S = 90.0


def watch(broker, picture_s, asked, tail_s):
    """Ask every `EVERY_S` for a picture; return the workers' frames as they came, with each one's age in seconds."""
    workers = [WorkerProcess(broker.url, one) for one in picture_s]
    frames = []
    try:
        with RemoteRenderer(RenderSettings(remote=True), ControlSettings(url=broker.url), "P01", SPACE) as renderer:
            renderer.wait_ready(PATIENCE_S)
            deadline = time.monotonic() + PATIENCE_S
            while len(renderer.workers) < len(workers):
                assert time.monotonic() < deadline, renderer.state
                time.sleep(0.02)
            due = time.monotonic()
            for trial in range(asked):
                renderer.submit(RenderRequest(trial, np.zeros(SPACE.dims, np.float32), 0, 1, {"asked": local_clock()}))
                due += EVERY_S
                while time.monotonic() < due:
                    renderer.wait(max(0.0, due - time.monotonic()))
                    frames += renderer.frames()
            until = time.monotonic() + tail_s
            while time.monotonic() < until:
                renderer.wait(max(0.0, until - time.monotonic()))
                frames += renderer.frames()
            dropped = renderer.dropped
    finally:
        for worker in workers:
            worker.stop()
    ages = [frame.ledger["final_picture"] - frame.ledger["asked"] for frame in frames]
    return [frame.request for frame in frames], ages, dropped


@pytest.mark.parametrize(
    ("picture_s", "oldest_s", "fewest"),
    [
        pytest.param([0.6], 1.1, 6, id="one slow worker"),
        pytest.param([1.5, 0.02], 0.5, 15, id="a slow and a fast worker"),
    ],
)
def test_what_is_shown_is_the_newest_that_was_painted(mosquitto, picture_s, oldest_s, fewest):
    shown, ages, dropped = watch(mosquitto, picture_s, 20, tail_s=2.0)
    assert shown == sorted(set(shown)), "nothing old follows a newer picture"
    assert shown[-1] == 20, "the newest is painted"
    assert len(shown) + dropped == 20
    assert len(shown) >= fewest
    # nobody waits longer for a picture than while the one before it is painted, wherever the fast worker is
    assert np.median(ages) < oldest_s, ages
    assert max(ages[3:]) < max(picture_s) + oldest_s, ages
