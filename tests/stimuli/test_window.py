"""Where windows go: never beyond the screen, never over one another."""

import pytest

from stimuli.window import AGAIN_S, Place, Twice, display_place, stimulus_place

pytestmark = pytest.mark.processes

LAPTOP, LAB = ((1280, 720),), ((2560, 1440), (1920, 1080))


def test_on_one_screen_both_windows_fit_side_by_side():
    stimulus = stimulus_place(LAPTOP, (800, 800), None)
    display = display_place(LAPTOP, (1280, 720), 1, stimulus)
    assert stimulus == Place(0, (800, 656), (0, 32))
    assert display == Place(0, (480, 656), (800, 32))


def test_without_a_stimulus_window_the_display_has_the_screen():
    assert display_place(((1920, 1080),), (1280, 720), 1, None) == Place(0, (1280, 720), (640, 32))


def test_two_screens_are_one_for_the_participant_and_one_for_the_experimenter():
    stimulus = stimulus_place(LAB, (800, 800), None)
    assert stimulus == Place(1, (800, 800), None)
    assert display_place(LAB, (1280, 720), 1, stimulus) == Place(0, (1280, 720), None)
    assert stimulus_place(LAB, (800, 800), 1).screen == 0


def test_a_screen_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match=r"stimulus\.screen: 3, but there are 2 screens here \(2560×1440, 1920×1080\)"):
        stimulus_place(LAB, (800, 800), 3)
    with pytest.raises(ValueError, match=r"display\.screen: 2, but there are 1 screens"):
        display_place(LAPTOP, (1280, 720), 2, None)


def test_a_key_counts_when_it_is_pressed_again_soon():
    key = Twice()
    assert not key.press(10.0)
    assert key.asks(10.0 + AGAIN_S)
    assert not key.asks(10.1 + AGAIN_S)
    assert not key.press(20.0)
    assert key.press(20.0 + AGAIN_S)
    assert not key.asks(20.0 + AGAIN_S)
    assert not key.press(20.1 + AGAIN_S)
