"""A real browser shows the pictures: its markers lie where its frames were, and the map reads them as any other's."""

import asyncio
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import perceptogram
from realtime.recording.latency_log import read_percepts
from tests.support.browser import CHROMIUM
from tests.support.mosquitto import free_port

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium"),
]
EXPERIMENT = Path(__file__).parents[2] / "docs" / "examples" / "browser"
WITHIN_S = 0.004
PICTURES = 30


@contextmanager
def session_for_pages(live_participant, out):
    """A session that takes its markers from pages, and the address of the experiment."""
    web = {"enabled": True, "port": free_port(), "markers": True, "experiment": EXPERIMENT}
    config = live_participant.config
    config = config.model_copy(update={"web": config.web.model_copy(update=web)})
    with perceptogram.Session(config, live_participant.bundle, out=out, headless=True, render=False) as session:
        yield session, f"http://127.0.0.1:{config.web.port}/experiment/"


def run_experiment(browser, session, address, pictures):
    """Let a page show `pictures` of the test set, and return it and when its clock began, on the LSL clock."""
    page = browser.open(f"{address}?pictures={pictures}&every=250")
    page.call("Performance.enable")
    page.until("experiment.state === 'ready'")
    asyncio.run(session.settled())
    told = {metric["name"]: metric["value"] for metric in page.call("Performance.getMetrics")["metrics"]}
    page.evaluate("document.querySelector('#start').click()")
    page.until("experiment.state === 'over'", 20 + pictures)
    # Chromium and liblsl both count the seconds of the machine's monotonic clock.
    return page, told["NavigationStart"]


@pytest.mark.realtime
def test_a_page_shows_pictures_and_hears_what_was_decoded(live_participant, browser, tmp_path):
    with session_for_pages(live_participant, tmp_path) as (session, address):
        page, began_s = run_experiment(browser, session, address, 12)
        result, onsets = page.evaluate("experiment.result"), page.evaluate("experiment.onsets")
        page.screenshot(tmp_path / "over.png")
    assert (result["shown"], result["percepts"], result["refused"]) == (12, 12, 0)
    clock = result["clock"]
    assert abs(clock["offset_s"] - began_s) < WITHIN_S
    assert clock["round_trip_s"] / 2 < WITHIN_S
    assert clock["jitter_s"] < 0.05
    records = [record for record in read_percepts(tmp_path / "percepts.jsonl") if "neighbours" in record]
    assert [record["picture"] for record in records] == [one["name"] for one in onsets]
    for record, one in zip(records, onsets, strict=True):
        assert abs(record["ledger"]["onset"] - (one["onset"] / 1000 + began_s)) < WITHIN_S


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pictures_of_a_page_are_read_as_well_as_those_of_the_presenter(live_participant, browser, tmp_path):
    with session_for_pages(live_participant, tmp_path / "page") as (session, address):
        page, _ = run_experiment(browser, session, address, PICTURES)
        page.until(f"experiment.percepts.length === {PICTURES}", 90)
        names = [one["name"] for one in page.evaluate("experiment.onsets")]
        shown = statistics.mean(page.evaluate("experiment.percepts.map(({ two_way }) => two_way)"))
    with (
        perceptogram.Session(
            live_participant.config, live_participant.bundle, show_pictures=True, headless=True, render=False
        ) as session,
        ThreadPoolExecutor(4) as asking,  # so that one follows another at the presenter's pace
    ):
        percepts = list(asking.map(session.show_and_wait, names))
    presented = statistics.mean(percept.two_way for percept in percepts)
    assert len(names) == PICTURES
    assert shown > 0.65, "0.5 is chance; of so few pictures the mean varies by 0.05"
    assert presented > 0.65
