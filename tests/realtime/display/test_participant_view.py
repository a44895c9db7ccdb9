import time
from dataclasses import fields, replace

import numpy as np
import pytest

from configs.schema import DisplaySettings
from realtime.display.display import AGE_S, Display
from realtime.display.participant import draw_participant, for_participant
from realtime.display.state import DisplayState, Similar
from realtime.display.window import Shown
from tests.support.mosquitto import until

RED, GREEN = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 20, 20), (20, 200, 20)))
STATE = DisplayState(
    trial=3, picture=RED, step=4, of=4, shown=GREEN, shown_label="cat", shown_name="cat-1", confidence=0.6, repeats=2,
    nearest=(Similar(GREEN, "cat", 0.5, "cat-1"),), two_way=0.9, pre_stimulus_two_way=0.5, candidates=20,
    ledger={"embedding": 1.0},
)  # fmt: skip
SIZES = [(800, 600), (1280, 720), (1080, 1920), (3840, 2160)]


def drawn(state=STATE, size=(800, 600), confidence=False):
    return np.asarray(draw_participant(state, size, confidence)).astype(int)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("confidence", [False, True])
def test_the_picture_fills_any_window_and_what_was_shown_is_nowhere(size, confidence):
    pixels = drawn(size=size, confidence=confidence)
    assert pixels.shape == (size[1], size[0], 3)
    red = (np.abs(pixels - (200, 20, 20)).max(axis=2) < 30).sum()
    assert red > 0.75 * min(size) ** 2
    assert not (np.abs(pixels - (20, 200, 20)).max(axis=2) < 30).any()


def test_all_that_tells_what_was_shown_is_left_out():
    kept = for_participant(STATE)
    told = {field.name for field in fields(kept) if getattr(kept, field.name) is not getattr(STATE, field.name)}
    assert told == {"shown", "shown_label", "shown_name", "nearest", "two_way", "pre_stimulus_two_way"}
    assert (drawn(kept) == drawn(STATE)).all()


def test_confidence_stands_with_its_chance_level_where_it_is_wanted():
    assert (drawn() != drawn(confidence=True)).any()
    other, fewer = replace(STATE, confidence=0.7), replace(STATE, candidates=5)
    assert (drawn() == drawn(other)).all()
    assert (drawn(confidence=True) != drawn(other, confidence=True)).any()
    assert (drawn(confidence=True) != drawn(fewer, confidence=True)).any()


def test_too_little_evidence_shows_no_picture():
    pixels = drawn(replace(STATE, abstain_below=0.9))
    assert not (np.abs(pixels - (200, 20, 20)).max(axis=2) < 30).any()


def test_states_that_say_the_same_look_alike():
    assert STATE.looks_like(replace(STATE, data_timestamp=7.0, ledger=dict(STATE.ledger)))
    for change in ({"picture": RED.copy()}, {"paused": True}, {"step": 3}, {"ledger": {"embedding": 2.0}}):
        assert not STATE.looks_like(replace(STATE, **change)), change


@pytest.fixture
def dummy(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.mark.processes
def test_both_views_are_open_at_once(dummy, tmp_path):
    settings = DisplaySettings(size=(640, 360), participant_size=(400, 400))
    with Display(settings, tmp_path) as one, Display(settings, tmp_path, view="participant") as other:
        heard = {one: [], other: []}

        def both_show():
            for display, events in heard.items():
                display.show(STATE)
                events += [event for event in display.events() if isinstance(event, Shown)]
            return all(heard.values())

        until(both_show, what="both windows")
        assert not one.fault
        assert not other.fault


@pytest.mark.processes
def test_the_window_is_not_drawn_for_each_chunk_but_is_told_how_old_the_data_are(dummy, tmp_path, monkeypatch):
    """So that a picture need not wait for the drawing of a state that says nothing."""
    with Display(DisplaySettings(), tmp_path) as display:
        put, handed = display._states.put, []
        monkeypatch.setattr(display._states, "put", lambda state: (handed.append(state), put(state)))
        began = time.monotonic()
        for number in range(120):
            display.show(replace(STATE, data_timestamp=float(number)))
            time.sleep(0.005)
        took_s = time.monotonic() - began
        assert 2 <= len(handed) <= took_s / AGE_S + 2
        picture = RED.copy()
        display.show(replace(STATE, picture=picture, data_timestamp=120.0))
        until(lambda: handed[-1].picture is picture)
