"""What explains that stamps moved and that samples got older."""

from realtime.timeline.axis_settings import DEFAULT
from realtime.timeline.explanations import Moved, explain

PERIOD = 1 / 512


def test_stamps_that_moved_where_samples_got_no_older_are_no_clock_but_a_line_that_was_off():
    moved = Moved(level=-2.1e-3, doubt=0.5e-3, older=1e-5, unsure=5e-5, lag=-2.8e-3, lag_unsure=0.5e-3)
    found = explain(moved, PERIOD, DEFAULT)
    assert (found.lost, found.step) == (0, 0.0)


def test_a_step_that_ages_tell_is_still_one():
    moved = Moved(level=43e-3, doubt=1e-3, older=-45e-3, unsure=1e-4, lag=-1e-3, lag_unsure=1e-3)
    assert explain(moved, PERIOD, DEFAULT).step == 45e-3


def test_arrivals_that_scatter_less_tell_a_hole_alone():
    hole = 11 * PERIOD
    moved = Moved(level=hole + 5.4e-3, doubt=1.7e-3, older=0.0, unsure=2e-3, lag=hole + 3e-4, lag_unsure=1e-4)
    assert moved.phase(hole, 0.0, DEFAULT) == 0.0


def test_stamps_tell_what_moved_beside_a_hole_where_arrivals_scatter_more():
    hole = 11 * PERIOD
    moved = Moved(level=hole + 3e-3, doubt=1e-4, older=0.0, unsure=2e-3, lag=hole, lag_unsure=2e-3)
    assert abs(moved.phase(hole, 0.0, DEFAULT) - 3e-3) < 1e-12
