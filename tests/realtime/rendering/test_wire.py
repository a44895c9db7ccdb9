import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from realtime.bundle import EmbeddingSpace
from realtime.rendering.frames import Frame, RenderRequest
from realtime.rendering.wire import (
    Contract,
    WireError,
    WorkerState,
    decode_jpeg,
    frame_jpeg,
    read_failure,
    read_job,
    read_label,
    read_picture,
    read_worker,
    request_json,
    worker_json,
)

CONTRACT = Contract(EmbeddingSpace("tiny", "random", 8), "embedded", "1.0")


def gradient(height=48, width=64):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 3, np.full_like(rows, 90)], axis=-1).astype(np.uint8)


FINITE = {"allow_nan": False, "allow_infinity": False}


@given(
    hnp.arrays(np.float32, st.integers(1, 64), elements=st.floats(width=32, **FINITE)),
    st.integers(0, 2**31),
    st.integers(1, 50),
)
def test_requests_keep_all_their_bits(embedding, seed, steps):
    job = read_job(request_json("P01", "abc", 3, RenderRequest(7, embedding, seed, steps)))
    asked = job.to_request()
    assert asked.embedding.tobytes() == embedding.tobytes()
    assert (asked.trial, asked.seed, asked.steps) == (7, seed, steps)
    assert (job.session, job.name) == ("P01", "abc/3")
    assert asked.start is None


@given(
    st.integers(1, 16).flatmap(
        lambda side: hnp.arrays(np.float16, (4, side, side), elements=st.floats(width=16, **FINITE))
    )
)
def test_a_layout_keeps_all_its_bits(start):
    asked = RenderRequest(7, np.zeros(3, np.float32), 0, 1, start=start)
    found = read_job(request_json("P01", "abc", 3, asked)).to_request().start
    assert found.shape == start.shape
    assert found.tobytes() == start.tobytes()


@pytest.mark.parametrize("start", ["AA", "AAAA", "not base64!"])
def test_a_layout_that_is_none_is_refused(start):
    record = json.loads(request_json("P01", "abc", 3, RenderRequest(7, np.zeros(3, np.float32), 0, 1)))
    job = read_job(json.dumps(record | {"start": start}).encode())
    with pytest.raises(WireError, match="abc/3: the start is not a square latent"):
        job.to_request()


def test_pictures_say_what_they_are():
    frame = Frame(7, 2, 4, gradient(), {"onset": 1.5, "odd": float("nan")}, 12)
    payload = frame_jpeg(frame, run="abc", request=3, worker="w")
    picture = read_picture(payload)
    assert (picture.run, picture.request, picture.trial, picture.step, picture.of) == ("abc", 3, 7, 2, 4)
    assert picture.worker == "w"
    assert read_label(payload)["ledger"] == {"onset": 1.5, "odd": None}
    decoded = decode_jpeg(picture.jpeg)
    assert decoded.shape == frame.image.shape
    assert np.abs(decoded.astype(int) - frame.image).mean() < 2


def test_workers_states_come_back_whole():
    state = WorkerState("w", "busy", "trial 3", CONTRACT, True, ("abc/3", "abc/4"))
    assert read_worker(worker_json(state)) == state


def test_contracts_differ_in_all_that_matters():
    others = [
        Contract(EmbeddingSpace("tiny", "random", 8, normalised=True), "embedded", "1.0"),
        Contract(CONTRACT.space, "unclip", "1.0"),
        Contract(CONTRACT.space, "embedded", "1.1"),
    ]
    assert len({one.key for one in (*others, CONTRACT)}) == 4
    assert [len(CONTRACT.differences(one)) for one in others] == [1, 1, 1]


LABEL = {"run": "abc", "request": 3, "trial": 7, "step": 1, "of": 4, "worker": "w"}


@pytest.mark.parametrize("wrong", [{"step": 0}, {"run": 7}, {"request": "x"}, {"of": None}, {"worker": []}])
def test_labels_that_are_wrong_are_refused(wrong):
    frame = Frame(7, 1, 4, gradient(8, 8), {}, 3)
    with pytest.raises(WireError):
        read_picture(frame_jpeg(frame, **(LABEL | wrong)))


@pytest.mark.parametrize("session", ["", "a/b", "#", "+"])
def test_sessions_that_no_topic_can_hold_are_refused(session):
    with pytest.raises(WireError, match="session"):
        read_job(request_json(session, "abc", 1, RenderRequest(1, np.zeros(2, np.float32), 0, 1)))


def test_broken_embeddings_are_refused():
    record = json.loads(request_json("P01", "abc", 1, RenderRequest(1, np.zeros(2, np.float32), 0, 1)))
    for broken in ("?", "AAA=", "AAAAAAA="):
        with pytest.raises(WireError, match="embedding"):
            read_job(json.dumps(record | {"embedding": broken}).encode()).to_request()


WHOLE = frame_jpeg(Frame(7, 1, 4, gradient(8, 8), {}, 3), **LABEL)


@given(st.binary(max_size=300) | st.tuples(st.integers(0, len(WHOLE)), st.binary(max_size=20)))
def test_whatever_comes_is_read_or_refused_in_one_line(content):
    payload = content if isinstance(content, bytes) else WHOLE[: content[0]] + content[1] + WHOLE[content[0] :]
    for read in (read_job, read_worker, read_failure, read_picture, decode_jpeg):
        refusal = "read"
        try:
            read(payload)
        except WireError as error:
            refusal = str(error)
        assert refusal
        assert "\n" not in refusal
