import os
import re
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.schema import MAX_STEPS, RenderSettings
from realtime.rendering.errors import GeneratorError
from realtime.rendering.frame_queue import KEPT_FRAMES
from realtime.rendering.generators.base import check_space
from realtime.rendering.messages import Origin, RenderRequest
from realtime.rendering.worker import RenderWorker
from realtime.spaces import EmbeddingSpace
from tests.support.tiny_generator import SLOW, SPACE, Picky, TinyGenerator, picky, tiny, unpreparable

pytestmark = [pytest.mark.processes, pytest.mark.timeout(400)]

PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def worker():
    with RenderWorker(RenderSettings(), tiny, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        yield worker


@pytest.fixture(scope="module")
def failing():
    """A renderer that dies and comes back in several tests: torch alone takes two seconds in each new process."""
    with RenderWorker(RenderSettings(), picky, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        yield worker


@pytest.fixture(scope="module")
def oracle():
    torch.set_num_threads(1)  # a picture this small gains nothing from threads, and they would fight the renderer's
    generator = TinyGenerator()
    generator.prepare()
    return generator


def request(trial, steps=4, seed=0):
    embedding = np.random.default_rng(trial).normal(size=SPACE.dims).astype(np.float32)
    return RenderRequest(trial, embedding, seed, steps, {"onset": float(trial)})


def until(worker, condition, timeout_s=PATIENCE_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s; {worker.state}"
        time.sleep(0.01)  # a notice that nobody fetches lets `wait` return at once


def until_final(worker, number):
    """Return all frames up to the final frame of request `number`."""
    frames = []

    def come():
        frames.extend(worker.frames())
        return any(frame.request == number and frame.final for frame in frames)

    until(worker, come)
    return frames


def test_previews_then_final(worker, oracle):
    asked = request(5)
    frames = until_final(worker, worker.submit(asked))
    assert [(frame.trial, frame.step, frame.of) for frame in frames] == [(5, k, 4) for k in (1, 2, 3, 4)]
    wanted = list(oracle.stream(asked.embedding, asked.seed, asked.steps))
    np.testing.assert_array_equal([frame.image for frame in frames], wanted)
    assert len({image.tobytes() for image in wanted}) == 4, "previews must differ, or the test shows nothing"
    final = frames[-1].ledger
    assert final["onset"] == 5.0
    assert frames[0].ledger["first_picture"] == final["first_picture"] < final["final_picture"]
    assert "final_picture" not in frames[2].ledger
    steps = [final[f"picture_{k}"] for k in (1, 2, 3, 4)]
    assert steps == sorted(steps), "each step's time is known"
    assert (steps[0], steps[-1]) == (final["first_picture"], final["final_picture"])
    assert worker.state.kind == "ready"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 5), st.sampled_from([0.0, 0.0, 0.003, 0.02])),
        min_size=1,
        max_size=12,
    ),
)
def test_last_request_is_always_painted_and_no_frame_bears_anothers_trial(worker, oracle, plan):
    asked = {}
    for trial, steps, rest_s in plan:
        asked[worker.submit(request(trial, steps))] = (trial, steps)
        threading.Event().wait(rest_s)
    frames = until_final(worker, max(asked))
    for frame in frames:
        trial, steps = asked[frame.request]
        assert (frame.trial, frame.of, frame.ledger["onset"]) == (trial, steps, float(trial))
        wanted = list(oracle.stream(request(trial).embedding, 0, steps))
        np.testing.assert_array_equal(frame.image, wanted[frame.step - 1])
    order = [(frame.request, frame.step) for frame in frames]
    assert order == sorted(order), "frames come in order"


def test_submitting_never_waits_for_a_frozen_renderer(worker):
    worker.pause()
    began = time.monotonic()
    for trial in range(5000):
        last = worker.submit(request(trial % 100))
    assert time.monotonic() - began < PATIENCE_S, "a wait of 24 ms for each would be found"
    assert worker.state.kind == "busy"
    worker.resume()
    frames = until_final(worker, last)
    assert {frame.trial for frame in frames if frame.request == last} == {99}
    assert len({frame.request for frame in frames}) < 50, "stale requests must not be painted one after the other"


def test_stale_work_is_abandoned_between_steps(worker):
    stale = worker.submit(request(1, steps=MAX_STEPS))
    until(worker, worker.frames)
    last = worker.submit(request(2, steps=1))
    frames = until_final(worker, last)
    assert not any(frame.final for frame in frames if frame.request == stale)


def test_frames_nobody_fetches_do_not_pile_up(worker):
    for _ in range(2):
        last = worker.submit(request(3, steps=KEPT_FRAMES // 2 + 10))
        until(worker, lambda: worker.state.kind == "ready")
    frames = worker.frames()
    assert len(frames) <= KEPT_FRAMES
    assert frames[-1].request == last
    assert frames[-1].final


def near(asked, trial, angle):
    """Return a request whose embedding lies `angle` away from that of `asked`."""
    unit = asked.embedding / np.linalg.norm(asked.embedding)
    away = np.random.default_rng(trial).normal(size=SPACE.dims)
    away -= (away @ unit) * unit
    embedding = np.cos(angle) * unit + np.sin(angle) * away / np.linalg.norm(away)
    return RenderRequest(trial, embedding.astype(np.float32), asked.seed, asked.steps, {"onset": float(trial)})


def test_picture_of_an_embedding_that_barely_moved_is_shown_again_and_says_so():
    first = request(1)
    with RenderWorker(RenderSettings(reuse_above=np.cos(0.1)), picky, threads=1) as worker:
        worker.wait_ready(PATIENCE_S)
        painted = until_final(worker, worker.submit(first))[-1]
        assert painted.origin == Origin()
        (again,) = until_final(worker, worker.submit(near(first, 2, 0.08)))
        assert (again.trial, again.origin, again.ledger["onset"]) == (2, Origin("reused", 1), 2.0)
        assert again.ledger["final_picture"] > painted.ledger["final_picture"]
        np.testing.assert_array_equal(again.image, painted.image)
        assert "the picture of trial 1 again, as the embedding barely moved" in worker.state.text
        # small moves do not add up unseen
        wanted = near(first, 2, 0.16)
        moved = until_final(worker, worker.submit(wanted))
        assert [frame.origin.kind for frame in moved] == ["noise"] * 4
        np.testing.assert_array_equal(moved[-1].image, list(Picky().stream(wanted.embedding, 0, 4))[-1])
        assert not np.array_equal(moved[-1].image, painted.image)
        other = replace(near(wanted, 3, 0.01), seed=1)
        assert until_final(worker, worker.submit(other))[-1].origin == Origin(), "another seed is another picture"


def test_nothing_is_spared_by_default(worker):
    until_final(worker, worker.submit(request(1)))
    frames = until_final(worker, worker.submit(request(1)))
    assert [frame.origin for frame in frames] == [Origin()] * 4


def test_dead_or_stopped_renderer_comes_back_and_paints_what_was_asked(failing):
    before = failing.restarts
    failing.submit(request(7, steps=MAX_STEPS, seed=SLOW))
    until(failing, failing.frames)
    dead = failing.pid
    os.kill(dead, signal.SIGKILL)
    until(failing, lambda: failing.restarts == before + 1 and failing.pid not in (None, dead))
    assert failing.state.kind == "loading"
    assert re.search(r"loading again \(\d+ of about \d+ s\)$", failing.state.text), failing.state.text
    assert "exit code -9" in failing.state.text
    number = failing.submit(request(8, steps=2))
    assert [frame.trial for frame in until_final(failing, number) if frame.request == number] == [8, 8]

    failing.pause()
    in_flight = failing.submit(request(9, steps=2))
    os.kill(failing.pid, signal.SIGKILL)
    assert until_final(failing, in_flight)[-1].trial == 9, "the request in flight is painted by the next process"
    assert failing.restarts == before + 2

    failing.told()
    os.kill(failing.pid, signal.SIGSTOP)
    until(failing, lambda: failing.restarts == before + 3)
    (told,) = failing.told()
    assert told.kind == "lost"
    assert told.text.startswith("hangs (no sign of life for 5.")
    assert told.text.endswith("; starting it again")


def test_fault_of_one_request_costs_at_most_that_picture(failing):
    until(failing, lambda: failing.state.kind == "ready")
    before = failing.restarts
    for seed, wanted in ((13, "MemoryError: out of memory"), (14, "after 3 of 4")):
        failing.submit(request(1, seed=seed))
        until(failing, lambda: failing.state.kind == "ready")
        failing.frames()
        assert wanted in failing.state.text
    assert failing.restarts == before
    assert until_final(failing, failing.submit(request(2)))[-1].trial == 2

    failing.submit(request(1, seed=15))
    until(failing, lambda: failing.restarts == before + 2 and failing.state.kind == "ready")
    assert until_final(failing, failing.submit(request(2)))[-1].trial == 2, "the deadly request is given up"


def test_renderer_that_cannot_start_says_why():
    with RenderWorker(RenderSettings(), unpreparable, threads=1) as worker:
        with pytest.raises(GeneratorError, match=r"cannot start: FileNotFoundError: weights\.safetensors is missing"):
            worker.wait_ready(PATIENCE_S)
        assert worker.state.kind == "dead"
        worker.submit(request(1))


@pytest.mark.parametrize(
    ("embedding", "steps", "complaint"),
    [
        (np.zeros((1, 8)), 1, r"one embedding of finite values \(given: shape \[1, 8\]\)"),
        (np.float32(1), 1, r"one embedding of finite values \(given: shape \[\]\)"),
        (np.full(8, np.nan), 1, "one embedding of finite values"),
        (np.zeros(8), 0, r"1 to 50 steps \(given: 0\)"),
        (np.zeros(8), 10_000, r"1 to 50 steps \(given: 10000\)"),
    ],
)
def test_requests_that_cannot_be_painted_are_refused(embedding, steps, complaint):
    with pytest.raises(ValueError, match=complaint):
        RenderRequest(1, embedding, 0, steps)


def test_a_start_that_is_no_latent_is_refused():
    for start in (np.zeros((4, 8), np.float16), np.full((4, 8, 8), np.inf, np.float16)):
        with pytest.raises(ValueError, match=r"needs a start \[channels, h, w\] of finite values"):
            replace(request(1), start=start)


def test_a_request_of_another_size_is_refused(worker):
    with pytest.raises(ValueError, match=r"shape \[3\], the generator wants \[8\]"):
        worker.submit(RenderRequest(1, np.zeros(3), 0, 1))


def test_spaces_must_be_the_same_in_all_but_size():
    check_space(SPACE, EmbeddingSpace("tiny", "random", 8))
    other = EmbeddingSpace("ViT-H-14", "laion2b_s32b_b79k", 8)
    with pytest.raises(GeneratorError, match=r"tiny/random \(8-d.*ViT-H-14/laion2b_s32b_b79k \(8-d"):
        check_space(SPACE, other)
