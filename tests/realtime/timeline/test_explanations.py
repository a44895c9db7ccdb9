"""What explains that timestamps and arrivals moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.timeline.axis_settings import DEFAULT
from realtime.timeline.explanations import Moved, explain, witnesses

PERIOD = 1 / 250


def moved(level: float, older: float, unsure: float = 2e-4) -> Moved:
    return Moved(level, 2e-4, older, unsure, level + older, 3e-4)


@given(
    level=st.floats(-3.9e-3, -1e-3),
    off=st.floats(-0.4, 0.4),
)
def test_what_ages_do_not_tell_is_a_line_that_is_off(level, off):
    """Each of many small deviations was taken for a step of the clock, and they added up."""
    found = explain(moved(level, off * abs(level), unsure=0.5 * abs(level)), PERIOD, DEFAULT)
    assert found.step == 0.0
    assert found.lost == 0


@given(step=st.floats(1e-3, 2.0), sign=st.sampled_from((-1, 1)))
def test_what_ages_tell_is_a_step_of_the_clock(step, sign):
    found = explain(moved(sign * step, -sign * step), PERIOD, DEFAULT)
    assert found.lost == 0
    assert found.step == pytest.approx(sign * step, abs=1e-9)


@given(lost=st.integers(1, 2000), off=st.floats(-3e-4, 3e-4))
def test_samples_that_are_missing_are_counted(lost, off):
    found = explain(moved(lost * PERIOD + off, 0.0), PERIOD, DEFAULT)
    assert (found.lost, found.step, found.clear) == (lost, 0.0, True)


@given(
    level=st.floats(-0.5, 0.5),
    older=st.floats(-0.5, 0.5),
    more=st.floats(5e-3, 0.5),
    sign=st.sampled_from((-1, 1)),
)
def test_arrivals_that_moved_by_something_else_do_not_agree(level, older, more, sign):
    """The least age was of before a second loss, the level of behind it: 110 samples were counted, 123 were lost."""
    together = moved(level, older)
    assert together.agree(DEFAULT.sure, DEFAULT.clocks_s)
    apart = Moved(level, 2e-4, older, 2e-4, level + older + sign * more, 3e-4)
    assert not apart.agree(DEFAULT.sure, DEFAULT.clocks_s)


def test_without_arrivals_the_timestamps_are_believed():
    found = explain(witnesses(7 * PERIOD, 1e-4, (0.0, float("inf")), (0.0, float("inf"))), PERIOD, DEFAULT)
    assert (found.lost, found.step) == (7, 0.0)


@given(level=st.floats(-3.9e-3, 3.9e-3), older=st.floats(0.02, 2.0))
def test_a_loss_and_a_step_that_cancel_each_other_are_samples_that_wait(level, older):
    """Behind a stall that was not over, 65 samples and a step of the clock by as much were seen: 40 s were wrong."""
    found = explain(moved(level, older, unsure=1e-3), PERIOD, DEFAULT)
    assert found.lost == 0
    assert abs(found.step) < DEFAULT.tolerable_s
