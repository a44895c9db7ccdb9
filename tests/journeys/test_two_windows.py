"""Participant and experimenter before one small screen: neither window hides the other."""

import time

import numpy as np
import pylsl

from configs.schema import DisplaySettings, StimulusSettings
from realtime.display.display import Display
from realtime.display.layout import DisplayState
from realtime.display.window import Shown
from stimuli.screen import GREY, Screen
from tests.support.virtual_screen import shot


def test_the_display_leaves_room_for_the_pictures(laptop_display, tmp_path):
    stimulus = StimulusSettings()
    screen = Screen(stimulus, headless=False, clock=pylsl.local_clock)
    screen.draw(screen.prepare(np.full((512, 512, 3), (10, 200, 30), np.uint8)))
    screen.flip()
    try:
        with Display(DisplaySettings(), tmp_path, stimulus=stimulus) as display:
            display.show(DisplayState(trial=1, picture=np.full((64, 64, 3), 200, np.uint8), step=4, of=4))
            give_up = time.monotonic() + 90
            while not any(isinstance(event, Shown) for event in display.events()):
                assert time.monotonic() < give_up, display.fault
                time.sleep(0.05)
            seen = shot()
    finally:
        screen.close()
    assert (seen == (10, 200, 30)).all(-1).sum() > 512 * 512 - 200  # all but the fixation dot
    assert (seen[32:688, :800][(seen[32:688, :800] != (10, 200, 30)).any(-1)] == GREY).all(-1).mean() > 0.98
    assert not (seen[32:688, 800:] == GREY).all(-1).all()
    assert np.ptp(seen[32:688, 800:]) > 100
