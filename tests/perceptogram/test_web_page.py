"""A live session in real browsers: what the page says is what the log says, and its buttons do what they say."""

import json
import os
import signal

import pytest

import perceptogram
from configs.schema import ControlSettings, WebSettings
from perceptogram.live.monitor import Monitor
from realtime.control.control import Control, Event
from realtime.recording.latency_log import read_percepts
from realtime.web.door import open_door
from tests.support.browser import CHROMIUM
from tests.support.mosquitto import free_port

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]

SAID = """JSON.stringify([...perceptogram.session.percepts.values()].map(
    ({trial, picture, confidence, repeats, two_way, pre_stimulus_two_way, neighbours, ledger}) =>
    ({trial, picture, confidence, repeats, two_way, pre_stimulus_two_way, neighbours, ledger})))"""
# The page waits with a percept's evidence for its picture: the one before it, of the same picture, has a final one too.
NEWEST_PAINTED = """(({picture, percepts}) =>
    picture.trial === Math.max(...percepts.keys()) && picture.step === picture.of)(perceptogram.session)"""
RECOUNTED = """import("/session.js").then(({empty, take}) => {
    const session = empty(), tell = (kind, lost) => take(session, {topic: "event", message: {kind, data: {lost}}}, 0);
    tell("hole", 40), tell("recount", 4), tell("recount", -1);
    return [session.counts.lost, session.counts.gaps]})"""
PICTURE_DRAWN = "document.querySelector('#picture').naturalWidth > 0"


def press(page, button):
    page.until(f"!document.querySelector('#{button}').disabled")
    page.evaluate(f"document.querySelector('#{button}').click()")


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def test_the_page_says_what_the_log_says_and_its_buttons_steer(live_participant, browser, mosquitto, tmp_path):
    config = live_participant.config.model_copy(
        update={
            "web": live_participant.config.web.model_copy(update={"enabled": True, "port": free_port()}),
            "control": live_participant.config.control.model_copy(update={"url": mosquitto.url}),
        }
    )
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 3, seed=0)
    with (
        open_door(config.web.model_copy(update={"port": 0}), {}) as door,
        Monitor(config.control, config.name, door),
        perceptogram.Session(
            config, live_participant.bundle, out=tmp_path, show_pictures=True, headless=True, candidates=pictures
        ) as session,
    ):
        near = browser.open(f"http://127.0.0.1:{config.web.port}/")
        far = browser.open(door.url, (390, 844), phone=True)
        for picture in (*pictures, pictures[0]):
            session.show_and_wait(picture)
        near.until("perceptogram.session.percepts.size === 4")

        press(near, "repeat")  # the last picture again
        near.until("perceptogram.session.percepts.size === 5")
        near.until(f"document.querySelector('#answer').textContent === 'repeat {pictures[0]}: done'")

        press(far, "pause")
        near.until("document.querySelector('#state').textContent === 'paused'")
        far.until("document.querySelector('#answer').textContent === 'pause: done'")
        assert session.show_and_wait(pictures[1]) is None
        near.until("document.querySelector('#refused').textContent === '1'")
        press(far, "pause")
        near.until("document.querySelector('#state').textContent === 'running'")

        late = browser.open(f"http://127.0.0.1:{config.web.port}/")
        for page in (near, far, late):
            page.until("perceptogram.session.percepts.size === 5")
            page.until(PICTURE_DRAWN)
            page.until(NEWEST_PAINTED)
        # The page's word for the newest trial, as a person reads it.
        texts = {
            place: near.text(f"#{place}")
            for place in (
                "name",
                "trial",
                "confidence",
                "repeats",
                "shown",
                "two-way",
                "pre-stimulus",
                "chance",
                "step",
            )
        }
        said = [json.loads(page.evaluate(SAID)) for page in (near, far, late)]
        near.screenshot(tmp_path / "near.png")
        assert near.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert far.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            "nothing lies beside a phone's screen"
        )
        assert near.text("#age").startswith("data ")

        press(far, "end")
        press(far, "end")
        near.until("['stopped', 'offline'].includes(perceptogram.session.state) || perceptogram.link !== null")
    near.until("document.querySelector('#state').textContent === 'session over'")
    assert near.evaluate(RECOUNTED) == [43, 1]
    assert near.evaluate("document.querySelector('#state').className.trim()") == "status"
    # A percept is logged once it is painted or left, which may be after the next one's.
    logged = sorted(
        (record for record in read_percepts(tmp_path / "percepts.jsonl") if "neighbours" in record),
        key=lambda record: record["trial"],
    )
    assert [one["trial"] for one in logged] == [one["trial"] for one in said[0]]
    for told in said:
        for one, record in zip(told, logged, strict=True):
            ledger = one.pop("ledger")
            assert one == {key: record[key] for key in one}
            assert ledger.items() <= record["ledger"].items()
    last = logged[-1]
    newest = {record["picture"]: record for record in logged}
    assert texts == {
        "name": config.name,
        "trial": f"trial {last['trial']}",
        "confidence": f"{round(100 * last['confidence'])}%",
        "repeats": "3",
        "shown": pictures[0],
        "two-way": f"{round(100 * mean(record['two_way'] for record in newest.values()))}%",
        "pre-stimulus": f"{round(100 * mean(record['pre_stimulus_two_way'] for record in newest.values()))}%",
        "chance": "chance 33%, 1 of 3",
        "step": "final picture",
    }
    assert session.summary["n_trials"] == 5


def test_a_page_goes_away_and_comes_back(browser):
    """A session that ends and one that begins where it was: the page finds it by itself, and starts afresh."""
    port = free_port()

    def session():
        door = open_door(WebSettings(port=port), {})
        return door, Control(ControlSettings(), "P01", None, door)

    door, control = session()
    with door, control:
        control.set_state("starting")
        control.set_state("running", name="P01")
        control.publish(Event("notice", {"notice": "lost", "text": "<b>the first</b>"}))
        page = browser.open(f"http://127.0.0.1:{port}/")
        page.until("document.querySelector('#notices li span')?.textContent === '<b>the first</b>'")
        press(page, "end")
        press(page, "end")
        assert control.wait(10)
        (command,) = control.commands()
        assert command.name == "stop"
        control.acknowledge(command, "not yet")
        page.until("document.querySelector('#answer').textContent === 'end: not yet'")
        assert control.status.connected
    page.until("document.querySelector('#state').textContent === 'not connected'")
    assert page.evaluate("document.querySelector('#pause').disabled")
    door, control = session()
    with door, control:
        control.set_state("running", name="P02")
        page.until("document.querySelector('#name').textContent === 'P02'")
        assert "nothing to report" in page.text("#notices")
        page.evaluate("perceptogram.before = perceptogram.session")
        os.kill(control.pid, signal.SIGKILL)  # the port stays open, and the next process answers
        page.until("perceptogram.session !== perceptogram.before && perceptogram.session.state === 'running'")
