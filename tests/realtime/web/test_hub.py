import asyncio
import json

import numpy as np
import pytest

from realtime.mqtt.link import Letter
from realtime.rendering.messages import Frame
from realtime.rendering.remote.wire import frame_jpeg, read_label
from realtime.web import hub as hub_module
from realtime.web.hub import Hub


def event(kind, seq=1, **more):
    return Letter("perceptogram/v1/P01/session/event", json.dumps({"kind": kind, "seq": seq} | more).encode())


def frame(trial, step=1):
    image = np.full((8, 8, 3), trial, np.uint8)
    return Letter("perceptogram/v1/P01/renderer/frame", frame_jpeg(Frame(trial, step, 2, image, {"onset": 1.0}, 1)))


def taken(client):
    words, picture = client.take()
    return ([] if words is None else json.loads(words)), picture


def test_who_comes_late_hears_what_was_said_and_sees_the_newest_picture():
    hub = Hub()
    hub.take(Letter("x/session/state", b'{"state":"starting"}'))
    hub.take(Letter("x/session/state", b'{"state":"running"}'))
    hub.take(event("percept", trial=1, embedding={"float16": "AAAA"}))
    hub.take(event("quality", data={"Fz": 0.1}))
    hub.take(event("quality", data={"Fz": 0.9}))
    hub.take(event("ledger", data={"trial": 1}))
    hub.take(Letter("x/session/ack", b'{"id":"1","ok":true}'))
    hub.take(frame(1))
    hub.take(frame(1, 2))
    words, picture = taken(hub.join())
    told = [(word["topic"], word["message"].get("kind") or word["message"]["state"]) for word in words]
    assert told == [("state", "running"), ("event", "percept"), ("event", "ledger"), ("event", "quality")]
    assert "embedding" not in words[1]["message"]
    assert words[3]["message"]["data"] == {"Fz": 0.9}
    assert json.loads(picture.label)["step"] == read_label(picture.jpeg)["step"] == 2
    size = int.from_bytes(picture.message[:4])
    assert picture.message[4 : 4 + size] == picture.label
    assert picture.message[4 + size :] == picture.jpeg


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[1]", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000, b"7"]
)
def test_what_cannot_be_read_is_told_to_nobody(payload):
    hub = Hub()
    client = hub.join()
    for what in ("state", "event", "ack", "frame", "cmd", ""):
        hub.take(Letter(f"x/session/{what}", payload))
    assert taken(client) == ([], None)
    assert taken(hub.join()) == ([], None)


def test_a_client_that_takes_nothing_is_lost_and_the_others_are_not(monkeypatch):
    monkeypatch.setattr(hub_module, "MOST_WAITING", 5)
    hub = Hub()
    deaf, well = hub.join(), hub.join()
    heard = []
    for seq in range(20):
        hub.take(event("note", seq))
        hub.take(frame(seq))
        heard += taken(well)[0]
    assert deaf.lost
    assert not well.lost
    assert [word["message"]["seq"] for word in heard] == list(range(20))
    words, picture = taken(deaf)
    assert len(words) == 5
    assert json.loads(picture.label)["trial"] == 19, "of pictures only the newest waits"


def test_a_lost_client_need_not_wait_for_anything(monkeypatch):
    monkeypatch.setattr(hub_module, "MOST_WAITING", 1)
    hub = Hub()

    async def wait():
        client = hub.join()
        waiting = asyncio.create_task(client.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        for seq in range(3):
            hub.take(event("note", seq))
        await asyncio.wait_for(waiting, 5)
        assert client.lost

    asyncio.run(wait())


def test_a_long_history_counts_as_nothing_that_waits(monkeypatch):
    monkeypatch.setattr(hub_module, "MOST_WAITING", 5)
    hub = Hub()
    for seq in range(100):
        hub.take(event("note", seq))
    client = hub.join()
    for seq in range(5):
        hub.take(event("note", 100 + seq))
    assert not client.lost
    assert len(taken(client)[0]) == 105
    for seq in range(6):
        hub.take(event("note", seq))
    assert client.lost


def test_what_is_kept_is_bounded_and_so_are_clients(monkeypatch):
    hub = Hub()
    for seq in range(hub_module.KEPT_EVENTS + 10):
        hub.take(event("percept", seq))
        hub.take(event("ledger", seq))
    words, _ = taken(hub.join())
    assert len(words) == hub_module.KEPT_EVENTS + hub_module.KEPT_LEDGERS
    assert words[0]["message"]["seq"] == 10
    clients = [hub.join() for _ in range(hub_module.MOST_CLIENTS)]
    assert clients.count(None) == 1
    hub.leave(clients[0])
    assert hub.join() is not None


def test_pictures_alone():
    hub = Hub()
    client = hub.join(words=False)
    for seq in range(2 * hub_module.MOST_WAITING):
        hub.take(event("note", seq))
    assert not client.lost
    hub.take(frame(3))
    words, picture = taken(client)
    assert words == []
    assert json.loads(picture.label)["trial"] == 3
