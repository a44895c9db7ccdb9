import http.client
import itertools
import json
import socket
import threading
import time
from contextlib import closing, contextmanager

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from configs.schema import WebSettings
from realtime.mqtt.link import Letter
from realtime.rendering.messages import Frame
from realtime.rendering.remote.wire import frame_jpeg
from realtime.web import server as server_module
from realtime.web.door import TOKEN, open_door
from realtime.web.server import BAD_COMMANDS, MOST_BYTES, Web, page_files
from tests.support.mosquitto import until
from tests.support.mutations import mutated

SECRET = "correct horse battery"
FOREIGN = {"Origin": "http://evil.example"}


@contextmanager
def serving(token=None, ask=lambda _payload: None, farewell=b'{"state":"offline"}', **settings):
    with open_door(WebSettings(port=0, **settings), {TOKEN: token} if token else {}) as door:
        web = Web(door, ask, farewell).start()
        web.door = door
        try:
            yield web
        finally:
            web.stop()


@pytest.fixture
def web():
    with serving() as web:
        yield web


@pytest.fixture
def guarded():
    with serving(SECRET) as web:
        yield web


def get(web, path, headers=None, method="GET", body=None):
    with closing(http.client.HTTPConnection("127.0.0.1", web.door.port, timeout=60)) as line:
        line.request(method, path, body, headers or {})
        answer = line.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


def listen(web, **headers):
    return connect(
        f"ws://127.0.0.1:{web.door.port}/session",
        additional_headers=headers,
        max_size=None,
        proxy=None,
        open_timeout=60,
    )


def event(seq, kind="note"):
    return Letter("x/session/event", json.dumps({"kind": kind, "seq": seq, "data": {}}).encode())


def frame(trial, side=16):
    image = np.random.default_rng(trial).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Letter("x/renderer/frame", frame_jpeg(Frame(trial, 1, 1, image, {}, 1)))


def test_the_page_and_its_parts_come_with_nothing_from_elsewhere(web):
    status, headers, content = get(web, "/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http" not in content
    for name, (inside, kind) in page_files().items():
        status, headers, content = get(web, f"/{name}")
        assert (status, content) == (200, inside)
        assert headers["content-type"].startswith(kind)
        assert b"http://" not in content.replace(b"http://www.w3.org/2000/svg", b"")
    assert len(page_files()) >= 9
    assert json.loads(get(web, "/electrodes.json")[2])["CZ"] == [0.0, 0.0]


@pytest.mark.parametrize(
    "path",
    [
        "/../../configs/demo.yaml",
        "/..%2f..%2fdoor.py",
        "/%2e%2e/door.py",
        "/door.py",
        "/page/index.html",
        "//etc/passwd",
        "/index.html%00",
        "/\\..\\door.py",
        "/picture.jpg",
        "/recorded.json",
        "/pictures/1",
    ],
)
def test_nothing_else_is_served(web, path):
    status, _, content = get(web, path)
    assert status == 404, content


def test_words_and_pictures_come_as_they_are_said(web):
    web.set_state(b'{"state":"running"}')
    web.send("event", event(1))
    web.send("frame", frame(1))
    with listen(web) as page:
        words = json.loads(page.recv(timeout=60))
        assert [word["topic"] for word in words] == ["state", "event"]
        assert page.recv(timeout=60)[4:].startswith(b'{"request":1,"trial":1,"step":1,"of":1')
        web.send("event", event(2))
        assert json.loads(page.recv(timeout=60))[0]["message"]["seq"] == 2
        assert get(web, "/picture.jpg")[2] == frame(1).payload
        web.stop()
        assert json.loads(page.recv(timeout=60)) == [{"topic": "state", "message": {"state": "offline"}}]
        with pytest.raises(ConnectionClosed):
            page.recv(timeout=60)


def test_without_the_token_nothing_answers_but_the_login(guarded):
    status, headers, _ = get(guarded, "/")
    assert (status, headers["location"]) == (303, "/login")
    for path in (*(f"/{name}" for name in page_files()), "/picture.jpg", "/pictures.mjpeg", "/electrodes.json"):
        expected = 200 if path in server_module.OPEN else 401
        assert get(guarded, path)[0] == expected, path
    for headers in ({}, {"Cookie": "perceptogram=x"}, {"Authorization": "Bearer x"}):
        with pytest.raises(InvalidStatus) as refused, listen(guarded, **headers):
            pass
        assert refused.value.response.status_code == 401
    assert guarded.hub.clients == 0


def test_the_token_opens_the_page_and_no_other_site_uses_it(guarded):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert get(guarded, "/login", form, "POST", "token=wrong")[1]["location"] == "/login#wrong"
    assert get(guarded, "/login", form | FOREIGN, "POST", f"token={SECRET}")[0] == 403
    status, headers, _ = get(guarded, "/login", form, "POST", "token=correct+horse+battery")
    assert (status, headers["location"]) == (303, "/")
    assert "HttpOnly" in headers["set-cookie"]
    assert "samesite=strict" in headers["set-cookie"].lower()
    cookie = {"Cookie": headers["set-cookie"].split(";")[0]}
    assert get(guarded, "/", cookie)[0] == 200
    with listen(guarded, **cookie):
        until(lambda: guarded.hub.clients == 1)
    with listen(guarded, Authorization=f"Bearer {SECRET}"):
        pass
    with pytest.raises(InvalidStatus) as refused, listen(guarded, **cookie, **FOREIGN):
        pass
    assert refused.value.response.status_code == 403
    assert get(guarded, "/login", form, "POST", b"token=" + b"x" * 100_000)[0] == 413


def test_pages_of_other_sites_are_refused_and_so_are_other_names(web):
    assert get(web, "/", FOREIGN)[0] == 403
    assert get(web, "/", {"Host": "evil.example"})[0] == 421
    for strange in (FOREIGN, {"Origin": "null"}, {"Host": "evil.example"}):
        with pytest.raises(InvalidStatus), listen(web, **strange):
            pass
    with listen(web, Origin=f"http://127.0.0.1:{web.door.port}"):
        pass


def test_a_command_is_handed_on_and_one_that_cannot_be_read_is_answered_to_its_page_alone():
    asked = []

    def ask(payload):
        asked.append(payload)
        return b'{"ok":false}' if payload.startswith(b"bad") else None

    with serving(ask=ask) as web, listen(web) as one, listen(web) as other:
        other.send("good")
        until(lambda: asked)
        for _ in range(BAD_COMMANDS):
            one.send("bad")
            assert json.loads(one.recv(timeout=60)) == [{"topic": "ack", "message": {"ok": False}}]
        with pytest.raises(ConnectionClosed):
            one.recv(timeout=60)
        web.send("event", event(1))
        assert json.loads(other.recv(timeout=60))[0]["message"]["seq"] == 1


def test_ten_thousand_malformed_messages_and_a_huge_one_change_nothing():
    refused = itertools.count()

    def ask(_payload):
        next(refused)
        return b'{"ok":false}'

    rng = np.random.default_rng(0)
    with serving(ask=ask) as web, listen(web) as well:
        sent = 0
        while sent < 10_000:
            with listen(web) as page:
                try:
                    for _ in range(500):
                        content = mutated(rng, b'{"id": "1", "command": "pause", "args": {}}')
                        page.send(content if sent % 2 else content.decode("utf-8", "replace"))
                        sent += 1
                except ConnectionClosed:
                    pass
        with listen(web) as page, pytest.raises(ConnectionClosed):
            page.send(iter([b"x" * (1 << 16)] * 1600))  # 100 MB as one message, in parts
        with listen(web) as page:
            page.send("x" * (MOST_BYTES + 1))
            with pytest.raises(ConnectionClosed) as closed:
                page.recv(timeout=60)
            assert closed.value.rcvd.code == 1009
        web.send("event", event(1))
        assert json.loads(well.recv(timeout=60))[0]["message"]["seq"] == 1
        until(lambda: web.hub.clients == 1, what="the others gone")
        assert next(refused) <= 10_000


def test_noise_instead_of_requests_changes_nothing(web):
    rng = np.random.default_rng(0)
    for _ in range(200):
        with closing(socket.create_connection(("127.0.0.1", web.door.port), timeout=60)) as line:
            line.sendall(mutated(rng, b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n"))
    assert get(web, "/")[0] == 200


def test_twenty_pages_of_which_one_never_reads_hold_up_nothing(web, monkeypatch):
    """Telling takes microseconds whoever listens; who reads nothing is dropped, and the others hear all of it."""
    monkeypatch.setattr(server_module, "SEND_S", 0.5)
    heard = [0] * 19

    def read(number):
        with listen(web) as page:
            while heard[number] < 400:
                words = page.recv(timeout=60)
                heard[number] += len(json.loads(words)) if isinstance(words, str) else 0

    readers = [threading.Thread(target=read, args=(number,)) for number in range(19)]
    for reader in readers:
        reader.start()
    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", web.door.port))
        deaf.sendall(
            b"GET /session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        until(lambda: web.hub.clients == 20)
        pictures = [frame(trial, 512) for trial in range(4)]
        waits = []
        for seq in range(400):
            began = time.perf_counter()
            web.send("event", event(seq))
            web.send("frame", pictures[seq % 4])
            waits.append(time.perf_counter() - began)
            time.sleep(0.002)
        for reader in readers:
            reader.join(30)
        assert heard == [400] * 19
        until(lambda: web.hub.clients == 0, what="the one that never reads dropped")
    assert np.median(waits) < 1e-3


def test_motion_jpeg_is_the_pictures_one_after_another(web):
    web.send("frame", frame(1))
    with closing(http.client.HTTPConnection("127.0.0.1", web.door.port, timeout=60)) as line:
        line.request("GET", "/pictures.mjpeg")
        answer = line.getresponse()
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"

        def part():
            while not (row := answer.readline()).startswith(b"Content-Length"):
                assert row, "the stream ended"
            size = int(row.split(b":")[1])
            assert answer.readline() == b"\r\n"
            return answer.read(size)

        assert part() == frame(1).payload
        web.send("frame", frame(2))
        assert part() == frame(2).payload
    until(lambda: web.hub.clients == 0, what="the stream's end noticed")


def test_too_many_pages_are_told_so(web, monkeypatch):
    monkeypatch.setattr("realtime.web.hub.MOST_CLIENTS", 1)
    with listen(web):
        until(lambda: web.hub.clients == 1)
        with pytest.raises(InvalidStatus) as refused, listen(web):
            pass
        assert refused.value.response.status_code == 503
        assert get(web, "/pictures.mjpeg")[0] == 503


def test_a_named_site_listens_and_its_neighbour_does_not():
    with serving(origins=("http://127.0.0.1:5500",)) as web:
        with listen(web, Origin="http://127.0.0.1:5500"):
            pass
        with pytest.raises(InvalidStatus), listen(web, Origin="http://127.0.0.1:5501"):
            pass
