"""On the screen of a small laptop the whole stimulus window is to be seen, the photodiode's square too."""

import numpy as np
import pylsl
import pytest

from configs.schema import StimulusSettings
from stimuli.screen import Screen
from tests.support.virtual_screen import shot

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("fullscreen", [False, True])
def test_picture_and_photodiode_square_are_whole(laptop_display, fullscreen, caplog):
    screen = Screen(StimulusSettings(fullscreen=fullscreen), headless=False, clock=pylsl.local_clock)
    try:
        screen.draw(screen.prepare(np.full((512, 512, 3), (10, 200, 30), np.uint8)))
        screen.flip()
        screen.wait_until(pylsl.local_clock() + 0.2)
        seen = shot()
    finally:
        screen.close()
    green = np.argwhere((seen == (10, 200, 30)).all(-1))
    assert (np.ptp(green, axis=0) + 1).tolist() == [512, 512]
    left = 0
    bottom = 719 if fullscreen else 720 - 32 - 1
    side = 45 if fullscreen else 41
    square = seen[bottom - side + 1 : bottom + 1, left : left + side]
    assert (square == 255).all()
    if not fullscreen:
        assert "the stimulus window is 800×656: the screen has no more room" in caplog.text


def test_a_picture_larger_than_the_screen_is_made_smaller_and_that_is_said(laptop_display, caplog):
    screen = Screen(StimulusSettings(picture_size=900), headless=False, clock=pylsl.local_clock)
    try:
        assert screen.prepare(np.zeros((50, 100, 3), np.uint8)).get_size() == (656, 328)
    finally:
        screen.close()
    assert "pictures are 656 pixels wide" in caplog.text
