import dataclasses
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from configs.schema import RenderSettings
from realtime.rendering.contract import UNSEEN, Contract, picture_size
from realtime.rendering.messages import Frame, Origin, RenderRequest
from realtime.rendering.remote.wire import (
    WireError,
    WorkerState,
    decode_jpeg,
    frame_jpeg,
    read_job,
    read_label,
    read_picture,
    read_worker,
    request_json,
    worker_json,
)
from realtime.spaces import EmbeddingSpace

SPACE = EmbeddingSpace("tiny", "random", 8)
CONTRACT = Contract.of(SPACE, RenderSettings(generator="sdxl-turbo"))
KEY = "0f" * 16
LABEL = {"run": "abc", "request": 3, "worker": "w", "proof": "1"}
PIXELS = 48 * 64


def asked(request, session="P01"):
    return request_json(session, "abc", 3, KEY, CONTRACT.key, request)


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
    start = np.ones((4, 2, 2), np.float16)
    job = read_job(asked(RenderRequest(7, embedding, seed, steps, start=start)))
    found = job.to_request()
    assert found.embedding.tobytes() == embedding.tobytes()
    assert found.start.tobytes() == start.tobytes()
    assert (job.session, job.name, job.key, job.contract) == ("P01", "abc/3", KEY, CONTRACT.key)
    here = {"flow", "at_s", "preview"}  # what a worker elsewhere need not know
    same = {field.name for field in dataclasses.fields(RenderRequest)} - {"embedding", "start", "ledger", *here}
    assert {name: getattr(found, name) for name in same} == {"trial": 7, "seed": seed, "steps": steps}


@given(
    st.integers(1, 16).flatmap(
        lambda side: hnp.arrays(np.float16, (4, side, side), elements=st.floats(width=16, **FINITE))
    )
)
def test_a_layout_keeps_all_its_bits(start):
    found = read_job(asked(RenderRequest(7, np.zeros(3, np.float32), 0, 1, start=start))).to_request().start
    assert found.shape == start.shape
    assert found.tobytes() == start.tobytes()


@pytest.mark.parametrize("start", ["AA", "AAAA", "not base64!"])
def test_a_layout_that_is_none_is_refused(start):
    record = json.loads(asked(RenderRequest(7, np.zeros(3, np.float32), 0, 1)))
    job = read_job(json.dumps(record | {"start": start}).encode())
    with pytest.raises(WireError, match="abc/3: the start is not a square latent"):
        job.to_request()


def test_pictures_say_what_they_are():
    frame = Frame(7, 2, 4, gradient(), {"onset": 1.5, "odd": float("nan")}, 12, Origin("layout"))
    payload = frame_jpeg(frame, **LABEL)
    picture = read_picture(payload, PIXELS)
    assert (picture.run, picture.request, picture.step, picture.size) == ("abc", 3, 2, (48, 64))
    assert (picture.worker, picture.proof, picture.origin) == ("w", "1", Origin("layout"))
    assert read_label(payload)["ledger"] == {"onset": 1.5, "odd": None}
    decoded = decode_jpeg(picture.jpeg)
    assert decoded.shape == frame.image.shape
    assert np.abs(decoded.astype(int) - frame.image).mean() < 2


def test_workers_states_come_back_whole():
    state = WorkerState("w", "busy", "trial 3", CONTRACT, ("abc/3/x", "abc/4/y", "def/1/z"), True)
    assert read_worker(worker_json(state), "w") == state
    assert list(state.claims()) == [("abc", 3, True, "x"), ("abc", 4, False, "y"), ("def", 1, False, "z")]
    with pytest.raises(WireError, match="calls itself 'w'"):
        read_worker(worker_json(state), "v")


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_setting_that_changes_the_picture_is_in_the_contract():
    """A new setting is there by itself; whoever adds one that changes nothing says so in `UNSEEN`."""
    assert set(RenderSettings.model_fields) >= UNSEEN
    everything = dict.fromkeys(RenderSettings.model_fields, "other") | {"generator": "unclip", "size": 64}
    told = Contract.of(SPACE, RenderSettings.model_construct(**everything)).render
    assert set(told) == set(RenderSettings.model_fields) - UNSEEN
    assert {"generator", "weights", "lora", "guidance", "sampler", "timesteps", "pictures"} <= set(told)


@pytest.mark.parametrize(
    ("changed", "phrase"),
    [
        ({"size": 128}, "render.size 128 where 512 is needed"),
        ({"weights": "/models/other"}, "render.weights /models/other where unset is needed"),
        ({"generator": "unclip", "guidance": 3, "size": 512}, "render.generator unclip where sdxl-turbo is needed"),
        ({"timesteps": [999, 499, 249, 9]}, "render.timesteps [999, 499, 249, 9] where unset is needed"),
    ],
)
def test_contracts_that_differ_say_where(changed, phrase):
    other = Contract.of(SPACE, RenderSettings(**{"generator": "sdxl-turbo"} | changed))
    assert other.key != CONTRACT.key
    assert phrase in CONTRACT.differences(other)
    assert len(CONTRACT.differences(other)) == len(changed) - (changed.get("size") == 512)


def test_what_does_not_change_the_picture_is_in_no_contract():
    same = {"generator": "sdxl-turbo", "size": 512}
    same = RenderSettings(
        **same, seed=5, steps=2, device="cpu", dtype="bfloat16", compile=True, download=True, remote=True
    )
    assert Contract.of(SPACE, same) == CONTRACT
    assert Contract.of(SPACE, same).key == CONTRACT.key


def test_contracts_of_other_versions_say_what_is_unknown():
    newer = dataclasses.replace(CONTRACT, software="9.9", render=CONTRACT.render | {"hue": 1})
    assert CONTRACT.differences(newer)[1:] == ["render.hue 1 where (no such setting) is needed"]
    assert "render.hue (no such setting) where 1 is needed" in newer.differences(CONTRACT)
    unlike = dataclasses.replace(CONTRACT, space=EmbeddingSpace("tiny", "random", 8, normalised=True))
    assert len(CONTRACT.differences(unlike)) == 1


def test_picture_sizes():
    assert picture_size(RenderSettings()) == (128, 128), "the embedded generator has one size"
    assert picture_size(RenderSettings(generator="sdxl-turbo", size=256, pictures=3)) == (256, 768)


@pytest.mark.parametrize("wrong", [{"step": 0}, {"run": 7}, {"request": "x"}, {"proof": None}, {"worker": []}])
def test_labels_that_are_wrong_are_refused(wrong):
    frame = Frame(7, 1, 4, gradient(8, 8), {}, 3)
    with pytest.raises(WireError):
        read_picture(frame_jpeg(frame, **(LABEL | wrong)), PIXELS)


def test_pictures_are_measured_before_they_are_decoded(monkeypatch):
    """33 MB, 4096 x 4096 or progressive: refused by length and header alone."""
    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", lambda _: pytest.fail("decoded"))
    large = frame_jpeg(Frame(7, 1, 4, np.zeros((4096, 4096, 3), np.uint8), {}, 3), **LABEL)
    with pytest.raises(WireError, match=r"a frame of \d+ bytes; at most \d+ are taken"):
        read_picture(large, PIXELS)
    with pytest.raises(WireError, match="a frame of 4096 x 4096 pixels"):
        read_picture(large, 1024 * 1024)
    with pytest.raises(WireError, match="a frame of 33000000 bytes"):
        read_picture(bytes(33_000_000), PIXELS)
    for options in ({"progressive": True}, {}):
        file = io.BytesIO()
        mode = "RGB" if options else "L"
        Image.new(mode, (48, 48)).save(file, "JPEG", comment=json.dumps(LABEL | {"step": 1}).encode(), **options)
        with pytest.raises(WireError, match="progressive RGB; at most" if options else "48 pixels, L; at most"):
            read_picture(file.getvalue(), PIXELS)


@pytest.mark.parametrize("session", ["", "a/b", "#", "+"])
def test_sessions_that_no_topic_can_hold_are_refused(session):
    with pytest.raises(WireError, match="session"):
        read_job(asked(RenderRequest(1, np.zeros(2, np.float32), 0, 1), session))


@pytest.mark.parametrize("wrong", [{"steps": 10_000}, {"hue": 3}, {"key": "guess"}, {"schema": 1}, {"seed": 1 << 70}])
def test_requests_of_others_kinds_are_refused(wrong):
    record = json.loads(asked(RenderRequest(1, np.zeros(2, np.float32), 0, 1)))
    with pytest.raises(WireError, match=f"^{next(iter(wrong))}: "):
        read_job(json.dumps(record | wrong).encode())


def test_broken_embeddings_are_refused():
    record = json.loads(asked(RenderRequest(1, np.zeros(2, np.float32), 0, 1)))
    for broken in ("?", "AAA=", "AAAAAAA="):
        with pytest.raises(WireError, match="embedding"):
            read_job(json.dumps(record | {"embedding": broken}).encode()).to_request()
