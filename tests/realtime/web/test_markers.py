"""What a page says on its marker socket, over a real connection: the page here is a Python program."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from pylsl import local_clock
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from configs.schema import PictureSettings, WebSettings, parse_config
from realtime.web.door import TOKEN, open_door
from realtime.web.markers import BAD_MESSAGES
from realtime.web.server import Web
from realtime.web.stage import Stage, StageRoutes
from tests.realtime.web.test_server import FOREIGN, SECRET, get
from tests.support.mosquitto import until
from tests.support.mutations import mutated

AHEAD_S = 1234.5
"""How far the page's clock is ahead of the LSL clock."""
MARKER = b'{"kind": "picture", "picture": "cat", "at": 12.5, "fields": {"trial": 1}}'


class Stagehand:
    def __init__(self, folder=None, token=None, **settings):
        self.marked, self.told = [], []
        self.stage = Stage(PictureSettings(), folder)
        self.door = open_door(WebSettings(port=0, markers=True, **settings), {TOKEN: token} if token else {})
        routes = StageRoutes(self.stage, local_clock, self.marked.append, lambda *said: self.told.append(said))
        self.web = Web(self.door, lambda _payload: None, beside=routes.routes())
        self.web.door = self.door

    def __enter__(self):
        self.web.start()
        return self

    def __exit__(self, *_error):
        self.web.stop()
        self.door.close()

    @contextmanager
    def page(self, **headers):
        url = f"ws://127.0.0.1:{self.door.port}/markers"
        with connect(url, additional_headers=headers, proxy=None, open_timeout=60) as socket:
            yield Page(socket)


class Page:
    """Answers pings, as the page's own script does."""

    def __init__(self, socket):
        self.socket = socket

    def now_ms(self):
        return 1000 * (local_clock() + AHEAD_S)

    def hear(self, what):
        """Return the next word of a kind."""
        while True:
            said = json.loads(self.socket.recv(timeout=60))
            if "ping" in said:
                self.say({"pong": said["ping"], "now": self.now_ms()})
            if what in said:
                return said[what]

    def say(self, message):
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))


@pytest.fixture
def hand(tmp_path):
    (tmp_path / "index.html").write_text("<p>look</p>")
    (tmp_path / "a b.js").write_text("1")
    (tmp_path / ".secret").write_text("no")
    (tmp_path / "out.txt").symlink_to("/etc/passwd")
    with Stagehand(tmp_path) as hand:
        yield hand


def test_a_marker_is_stamped_on_the_lsl_clock_and_says_how_well(hand):
    with hand.page() as page:
        clock = page.hear("clock")
        assert abs(clock["offset_s"] + AHEAD_S) <= clock["round_trip_s"] / 2 + 1e-6
        seen = local_clock() - 0.02
        page.say({"picture": "cat-1015", "at": 1000 * (seen + AHEAD_S), "fields": {"trial": 3}})
        until(lambda: hand.marked)
    (marker,) = hand.marked
    assert (marker.kind, marker.picture, marker.extra["trial"]) == ("picture", "cat-1015", 3)
    assert abs(marker.timestamp - seen) <= marker.extra["clock_error_s"] + 1e-5
    (page_address, alignment), *_ = hand.told
    assert page_address == "127.0.0.1"
    assert alignment.round_trip_s == clock["round_trip_s"]


def test_what_is_no_marker_is_told_and_too_much_of_it_ends_the_connection(hand):
    with hand.page() as page:
        page.say({"picture": "early", "at": page.now_ms()})
        assert "not aligned yet" in page.hear("error")
        page.hear("clock")
        refused = {
            "kind": [{"kind": "", "at": 1.0}, {"kind": "a\nb", "at": 1.0}],
            "at": [{"kind": "x"}, {"kind": "x", "at": "now"}, '{"kind": "x", "at": NaN}'],
            "10.0 s ago": [{"kind": "x", "at": page.now_ms() - 10_000}],
            "10.0 s ahead": [{"kind": "x", "at": page.now_ms() + 10_000}],
            "'schema'": [{"kind": "x", "at": page.now_ms(), "fields": {"schema": 7}}],
        }
        for why, messages in refused.items():
            for message in messages:
                page.say(message)
                assert why in page.hear("error")
        for _ in range(BAD_MESSAGES):
            page.say("{")
        with pytest.raises(ConnectionClosed):
            page.hear("never")
    assert hand.marked == []


def test_two_thousand_malformed_messages_mark_nothing_and_other_pages_go_on(hand):
    rng = np.random.default_rng(0)
    with hand.page() as well:
        well.hear("clock")
        sent = 0
        while sent < 2000:
            with hand.page() as page:
                try:
                    for _ in range(100):
                        content = mutated(
                            rng, b'{"kind": "picture", "picture": "cat", "at": 12.5, "fields": {"trial": 1}}'
                        )
                        page.say(content if sent % 2 else content.decode("utf-8", "replace"))
                        sent += 1
                except ConnectionClosed:
                    pass
        well.say({"kind": "end", "at": well.now_ms()})
        until(lambda: hand.marked)
    assert [marker.kind for marker in hand.marked] == ["end"]


def test_pages_are_let_in_by_the_same_rules_as_the_monitor():
    paths = ("/stimuli.json", "/stimuli/face-1000", "/experiment/")
    with Stagehand(token=SECRET) as hand:
        assert [get(hand.web, path)[0] for path in paths] == [401] * 3
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {SECRET}"} | FOREIGN):
            with pytest.raises(InvalidStatus), hand.page(**headers):
                pass
        with hand.page(Authorization=f"Bearer {SECRET}") as page:
            page.hear("clock")
    with Stagehand(origins=("http://127.0.0.1:5500",)) as hand:
        assert get(hand.web, "/stimuli.json", FOREIGN)[0] == 403
        with pytest.raises(InvalidStatus), hand.page(**FOREIGN):
            pass
        with hand.page(Origin="http://127.0.0.1:5500") as page:
            page.hear("clock")


def test_the_experiment_and_the_pictures_are_served_and_nothing_else(hand):
    def status(path):
        return get(hand.web, path)[0]

    served, headers, content = get(hand.web, "/experiment/")
    assert (served, content) == (200, b"<p>look</p>")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert status("/experiment/a%20b.js") == 200
    assert get(hand.web, "/experiment")[1]["location"] == "/experiment/"
    for path in ("..%2f..%2fetc/passwd", "../page_clock.py", "out.txt", ".secret", "%00", "none.js", "%2fetc/passwd"):
        assert status(f"/experiment/{path}") == 404, path
    names = json.loads(get(hand.web, "/stimuli.json?split=test")[2])
    assert len(names) == 200
    served, headers, content = get(hand.web, f"/stimuli/{names[0]['name']}")
    assert (served, content[:4]) == (200, b"\x89PNG")
    assert [status(path) for path in ("/stimuli/no", "/stimuli/..%2fx", "/stimuli.json?split=x")] == [404] * 3


def test_one_page_too_many_is_told_so(hand, monkeypatch):
    monkeypatch.setattr("realtime.web.stage.MOST_PAGES", 1)
    with hand.page() as page:
        page.hear("clock")
        with pytest.raises(InvalidStatus) as refused, hand.page():
            pass
        assert refused.value.response.status_code == 503


def test_a_page_that_answers_no_ping_gets_no_clock(hand, monkeypatch):
    monkeypatch.setattr("realtime.web.markers.UNANSWERED_S", 0.01)
    with hand.page() as page:
        pings = [json.loads(page.socket.recv(timeout=60)) for _ in range(30)]
    assert all("ping" in said for said in pings)
    assert hand.told == []


def test_an_experiment_without_markers_is_refused():
    with pytest.raises(ValueError, match="experiment needs markers: true"):
        parse_config({"web": {"experiment": "here"}}, "lab.yaml")
    assert Stage.of(parse_config({"web": {"enabled": True, "markers": True}}, "lab.yaml")) is not None
    assert Stage.of(parse_config({"web": {"markers": True}}, "lab.yaml")) is None
