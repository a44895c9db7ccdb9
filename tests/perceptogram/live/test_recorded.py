import json

import pytest

from perceptogram.live.recorded import RecordedError, read_session
from realtime.web.door import open_door
from realtime.web.server import PastSession, Web
from tests.support.browser import CHROMIUM
from tests.support.session_folder import logged


def test_what_was_said_comes_in_order_with_its_times(session_folder):
    session = read_session(session_folder)
    told = [(entry["topic"], entry["message"].get("kind"), round(entry["at"], 3)) for entry in session.entries]
    assert told == [
        ("event", "percept", 0.0),
        ("frame", None, 0.399),
        ("event", "ledger", 0.399),
        ("event", "percept", 1.0),
        ("frame", None, 1.399),
        ("event", "notice", 1.699),
        ("event", "percept", 2.0),
        ("frame", None, 2.399),
        ("event", "refused", 2.399),
    ]
    assert session.details == {"name": session_folder.name, "simulated": True, "candidates": 20}
    assert set(session.pictures) == {0, 1, 2}


def test_a_session_that_broke_off_is_shown_as_far_as_it_went(session_folder):
    (session_folder / "summary.json").unlink()
    (session_folder / "pictures" / "0001-dog-1.png").unlink()
    with (session_folder / "percepts.jsonl").open("a") as log:
        log.write('{"trial": 4, "pict')
    session = read_session(session_folder)
    assert set(session.pictures) == {0, 2}
    assert session.details["simulated"] is False


def test_a_file_that_lies_elsewhere_is_not_shown(session_folder):
    (session_folder.parent / "secret.png").write_bytes(b"")
    line = logged(9, "cat-1", 0.5, 0.5, 0.5) | {"file": "../../secret.png"}
    (session_folder / "percepts.jsonl").write_text(json.dumps(line) + "\n")
    assert read_session(session_folder).pictures == {}


def test_a_folder_without_a_session_is_one_line(tmp_path):
    with pytest.raises(RecordedError, match=r"no session in .*: percepts\.jsonl is missing"):
        read_session(tmp_path)


@pytest.mark.processes
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_the_page_shows_each_moment(session_folder, browser):
    from configs.schema import WebSettings

    session = read_session(session_folder)
    with open_door(WebSettings(port=0), {}) as door:
        web = Web(door, lambda _payload: None, recorded=PastSession(session.json_bytes(), session.pictures)).start()
        page = browser.open(door.url)
        page.until("document.querySelector('#percepts').textContent === '3'")
        assert [page.text(f"#{place}") for place in ("two-way", "pre-stimulus", "confidence", "state")] == [
            "85%",
            "50%",
            "60%",
            "recorded",
        ]
        assert page.text("#notices li:last-child span") == "the renderer died"
        assert page.text("#notices li:last-child time") == "0:01.7"
        page.until("document.querySelector('#picture').naturalWidth === 536")
        page.evaluate("(place.value = 5, place.oninput())")
        page.until("document.querySelector('#percepts').textContent === '2'")
        assert [page.text(f"#{place}") for place in ("trial", "confidence", "time")] == ["trial 1", "80%", "0:01.4"]
        assert page.evaluate("document.querySelector('#picture').src").endswith("/pictures/1")
        page.evaluate("(pace.value = '16', play.onclick())")
        page.until("document.querySelector('#percepts').textContent === '3'")
        page.until("place.value === '9'")
        web.stop()
