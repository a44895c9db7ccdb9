"""What goes wrong with a renderer is told and gone on from, in a real process; the faults are torch's own, raised."""

import time

import numpy as np
import pytest

from configs.schema import RenderSettings
from realtime.rendering.errors import GeneratorError
from realtime.rendering.messages import RenderRequest
from realtime.rendering.worker import RenderWorker
from tests.support import faulty_generators as faulty
from tests.support.tiny_generator import SPACE

PATIENCE_S = 90.0


def request(trial=1):
    return RenderRequest(trial, np.ones(SPACE.dims, np.float32), 0, 2)


def heard(worker, done):
    """Return frames and lines until `done` holds of them."""
    frames, told, deadline = [], [], time.monotonic() + PATIENCE_S
    while not done(frames, told):
        assert time.monotonic() < deadline, (worker.state, told)
        worker.wait(0.05)
        frames += worker.frames()
        told += worker.told()
    return frames, told


def test_a_renderer_that_lost_its_card_is_started_again_and_paints_what_was_asked(tmp_path):
    settings = RenderSettings(weights=str(tmp_path / "once"))
    with RenderWorker(settings, make=faulty.LosesTheCard, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        number = worker.submit(request())
        frames, told = heard(worker, lambda frames, told: frames and frames[-1].final)
        assert frames[-1].request == number
        assert worker.restarts == 1
    assert [one.kind for one in told] == ["lost", "restarted"]
    assert "died (trial 1: AcceleratorError: CUDA error: an illegal memory access" in told[0].text


def test_one_that_fails_again_and_again_is_told_each_time_and_started_again():
    with RenderWorker(RenderSettings(), make=faulty.Failing, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        for trial in range(3):
            number = worker.submit(request(trial))
            _, told = heard(worker, lambda frames, told: told)
            assert (told[0].kind, told[0].request) == ("failed", number)
            assert told[0].text == f"trial {trial}: ValueError: nothing comes of it"
        more = told[1:]
        while [one.kind for one in more] != ["lost", "restarted"]:
            more += heard(worker, lambda frames, told: told)[1]
        assert "3 pictures in a row could not be painted" in more[0].text


def test_too_little_memory_at_the_start_is_tried_smaller_and_told():
    settings = RenderSettings(generator="unclip", size=512, pictures=2, decoder="full")
    with RenderWorker(settings, make=faulty.FitsOnlySmall, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        told = [one.text for one in worker.told()]
        assert [text.split(",")[0] for text in told] == [
            "paints with render.pictures 1",
            "paints with render.decoder 'tiny'",
            "paints with render.size 256",
        ]
        assert (worker.settings.pictures, worker.settings.decoder, worker.settings.pixels) == (1, "tiny", 256)
        worker.submit(request())
        frames, _ = heard(worker, lambda frames, told: frames)
        assert frames[0].image.shape == (256, 256, 3)


def test_where_nothing_smaller_is_left_it_says_so():
    settings = RenderSettings(generator="unclip", size=512)
    with RenderWorker(settings, make=faulty.FitsNever, threads=1) as worker:
        with pytest.raises(GeneratorError, match="cannot start: OutOfMemoryError: CUDA out of memory"):
            worker.wait_ready(PATIENCE_S)
        assert any("nothing is painted any more" in one.text for one in worker.told())


def test_patience_lasts_as_long_as_the_start_gets_on():
    with RenderWorker(RenderSettings(), make=faulty.ComputesLong, threads=1) as worker:
        worker.wait_ready(6.0)  # it takes longer
        assert worker.state.kind == "ready"


def test_a_start_that_does_nothing_is_given_up_and_says_so():
    with (
        RenderWorker(RenderSettings(), make=faulty.Sleeps, threads=1) as worker,
        pytest.raises(GeneratorError, match=r"it has done nothing for 6 s \(loading the embedded generator"),
    ):
        worker.wait_ready(6.0)
