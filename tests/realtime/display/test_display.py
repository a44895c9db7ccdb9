import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from configs.schema import DisplaySettings, PictureSettings
from realtime.display.display import Display
from realtime.display.layout import DisplayState, Similar, _still, draw
from realtime.display.picture_lookup import LookUp
from realtime.display.window import DisplayOpened, Lost, Pressed, Saved, Shown, Window
from realtime.rendering.messages import RenderState
from stimuli.pictures import open_pictures

pytestmark = pytest.mark.processes

SIZE = (1280, 720)
PATIENCE_S = 90.0


def plain(colour):
    return np.full((32, 32, 3), colour, np.uint8)


STATE = DisplayState(
    trial=7,
    picture=plain((200, 30, 40)),
    step=4,
    of=4,
    shown=plain((30, 200, 40)),
    shown_label="face",
    nearest=tuple(Similar(plain((20 * k, 40, 200)), f"thing {k}", 0.9 - 0.3 * k) for k in range(5)),
    confidence=0.7,
    repeats=3,
    data_timestamp=100.0,
    quality={"Fp1": 0.9, "Cz": 0.5, "O2": 0.1, "Pz": None, "EOG": 0.9},
    renderer=RenderState("ready", "ready"),
    ledger={"last_sample": 99.0, "arrived": 99.002, "embedding": 99.00204, "first_picture": 99.1},
)


def pixels(state, now=100.1, **kwargs):
    return np.asarray(draw(state, SIZE, now, **kwargs)).astype(int)


def share(image, colour):
    """Return how much of `image` has exactly `colour`."""
    return float((image == colour).all(axis=-1).mean())


def test_same_state_gives_the_same_picture():
    np.testing.assert_array_equal(pixels(STATE), pixels(STATE))


def test_reconstruction_is_the_largest_thing_on_the_screen():
    assert share(pixels(STATE), (200, 30, 40)) > 0.3


def test_too_little_evidence_shows_no_picture():
    doubtful = replace(STATE, confidence=0.1, abstain_below=0.3)
    assert share(pixels(doubtful), (200, 30, 40)) == 0
    assert share(pixels(replace(doubtful, confidence=None)), (200, 30, 40)) > 0.3, "not calibrated is not doubtful"


def test_what_was_shown_can_be_hidden():
    assert share(pixels(STATE), (30, 200, 40)) > 0.03
    assert share(pixels(STATE, hide_shown=True), (30, 200, 40)) == 0


def test_old_data_turn_red():
    bad = (0xE5, 0x71, 0x6A)
    header = slice(20, 60), slice(900, 1280)
    assert share(pixels(STATE, now=100.4)[header], bad) == 0
    assert share(pixels(STATE, now=100.6)[header], bad) > 0


@pytest.mark.parametrize("kind", ["dead", "loading"])
def test_picture_of_a_dead_renderer_is_dimmed(kind):
    dimmed = pixels(replace(STATE, renderer=RenderState(kind, "died (exit code -9)")))
    assert share(dimmed, (200, 30, 40)) == 0


def test_plugs_are_not_drawn_at_the_ears():
    numbered, unknown = ({f"{row}{n}": 0.1 for n in range(1, 9)} for row in "AX")
    np.testing.assert_array_equal(pixels(replace(STATE, quality=numbered)), pixels(replace(STATE, quality=unknown)))


CHANGES = [
    {"simulated": True},
    {"paused": True},
    {"notice": "The amplifier has sent nothing for 3 s."},
    {"step": 1},
    {"repeats": 4},
    {"confidence": 0.71},
    {"quality": {"Fp1": 0.1}},
    {"ledger": {}},
    {"nearest": ()},
]


@pytest.mark.parametrize("change", CHANGES)
def test_everything_that_the_state_says_is_seen(change):
    assert (pixels(STATE) != pixels(replace(STATE, **change))).any()


@pytest.mark.parametrize("change", [*CHANGES, {"picture": plain((1, 2, 3))}, {"shown": plain((1, 2, 3))}])
def test_what_was_drawn_before_does_not_matter(change):
    """Parts that stay the same are drawn once; the picture is that of one that was drawn anew."""
    state = replace(STATE, **change)
    pixels(STATE)
    after_another = pixels(state)
    _still.cache_clear()
    np.testing.assert_array_equal(after_another, pixels(state))


def test_a_new_picture_draws_nothing_else_anew():
    _still.cache_clear()
    for colour in range(10):
        pixels(replace(STATE, picture=plain((colour, 0, 0)), step=1 + colour % 4, ledger={"final_picture": colour}))
    assert _still.cache_info().misses == 1


@pytest.mark.parametrize("size", [(320, 200), (720, 1280), (1024, 768), (2560, 1080), (1921, 1081)])
def test_any_size_and_any_text_can_be_drawn(size):
    odd = replace(STATE, title="名前 über " * 20, shown_label="x" * 300, notice="w " * 500, repeats=1000, nearest=())
    for state in (DisplayState(), STATE, odd):
        assert draw(state, size, 0.0).size == size


def test_what_is_only_named_is_looked_up_once():
    pictures = open_pictures(PictureSettings(), "test")
    first, second = pictures.names[:2]
    drawn = []

    class Counting:
        names = pictures.names

        def image(self, name, side):
            drawn.append((name, side))
            return pictures.image(name, side)

    look_up = LookUp(Counting())
    near = (Similar(None, "a", 0.5, second), Similar(None, "a class", 0.4, "face"))
    named = replace(STATE, shown=None, shown_name=first, nearest=near)
    for _ in range(2):
        state = look_up(named)
    assert drawn == [(second, 128), (first, 256)]
    np.testing.assert_array_equal(state.shown, pictures.image(first, 256))
    np.testing.assert_array_equal(state.nearest[0].image, pictures.image(second, 128))
    assert state.nearest[1].image is None
    assert (pixels(state) != pixels(named)).any()


@pytest.fixture
def dummy_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setenv("PYGAME_HIDE_SUPPORT_PROMPT", "1")


@pytest.fixture
def window(dummy_screen, tmp_path):
    window = Window(DisplaySettings(size=(640, 360)), tmp_path)
    yield window
    window.close()


def press(window, key):
    import pygame

    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))
    return window.obey()


def test_keys(window, tmp_path):
    assert press(window, "s") == [], "there is nothing to save before the first drawing"
    assert press(window, "space") == [Pressed("pause")]
    assert press(window, "escape") == [], "the first one only asks"
    assert press(window, "escape") == [Pressed("close")]
    assert press(window, "h") == []
    assert window.hide_shown
    assert press(window, "f") == []
    assert window.fullscreen
    assert press(window, "escape") == [], "it only leaves the full screen"
    assert not window.fullscreen
    window.show(STATE, 100.1)
    (saved,) = press(window, "s")
    assert isinstance(saved, Saved)
    wanted = np.asarray(draw(STATE, (640, 360), 100.1, hide_shown=True))
    np.testing.assert_array_equal(np.asarray(Image.open(saved.path)), wanted)
    assert [path.suffix for path in tmp_path.iterdir()] == [".png"]


def test_closing_the_window_is_told(window):
    import pygame

    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert window.obey() == [Pressed("close")]


def collect(display, condition):
    events = []
    deadline = time.monotonic() + PATIENCE_S
    while not condition(events):
        assert time.monotonic() < deadline, f"only {events} within {PATIENCE_S:g} s; fault: {display.fault!r}"
        threading.Event().wait(0.02)
        events += display.events()
    return events


@pytest.mark.realtime
def test_newest_state_reaches_the_screen_and_its_time_comes_back(dummy_screen, tmp_path):
    from pylsl import local_clock

    with Display(DisplaySettings(size=(640, 360)), tmp_path) as display:
        collect(display, lambda events: DisplayOpened() in events)
        waits = []
        told = local_clock()
        for trial in range(200):
            large = np.zeros((2000, 1000, 3), np.uint8) if trial == 199 else STATE.picture
            before = time.perf_counter()
            display.show(replace(STATE, trial=trial, picture=large))
            waits.append(time.perf_counter() - before)
        events = collect(display, lambda events: any(isinstance(e, Shown) and e.trial == 199 for e in events))
        assert np.median(waits) < 1e-3
        shown = [event for event in events if isinstance(event, Shown)]
        assert len(shown) < 50, "states that were replaced are not drawn one after the other"
        assert told <= shown[-1].timestamp <= local_clock()
        assert (shown[-1].step, shown[-1].of) == (4, 4)

        os.kill(display.pid, signal.SIGKILL)
        (lost,) = collect(display, lambda events: bool(events))
        assert lost == Lost("the display's process died (exit code -9)")
        assert display.fault == lost.text
        display.show(STATE)
    assert not display.open


def test_without_a_screen_the_session_goes_on(monkeypatch, tmp_path):
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    with Display(DisplaySettings(), tmp_path) as display:
        events = collect(display, lambda events: bool(events))
        assert isinstance(events[0], Lost)
        assert "no window" in display.fault
        display.show(STATE)
