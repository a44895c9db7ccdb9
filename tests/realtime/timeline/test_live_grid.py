"""What a live time axis takes to be so, and how it is mended."""

import numpy as np
import pytest

from realtime.timeline.axis_settings import DEFAULT
from realtime.timeline.live_grid import LiveGrid

RATE_HZ = 250.0


@pytest.mark.parametrize(
    ("second_s", "after_s", "found"),
    [(-2e-3, 5.0, True), (2e-3, 5.0, False), (-2e-3, 21.0, False)],
    ids=["to the same side", "back again", "long after"],
)
def test_two_shifts_to_one_side_are_another_rate(second_s, after_s, found):
    """The line is moved once; where it moved the same way before, it is to be laid anew from there."""
    grid = LiveGrid(RATE_HZ, DEFAULT)
    at = round(after_s * RATE_HZ)
    assert grid.carry(100, -3e-3) is None
    assert grid.line.time == -3e-3
    assert grid.carry(100 + at, second_s) == (100 if found else None)
    assert grid.line.time == pytest.approx(-3e-3 if found else -3e-3 + second_s)


@pytest.mark.parametrize(("sd_s", "seed", "kept_ms"), [(1e-4, 0, -11.0), (1.2e-3, 1, 0.0), (2e-3, 2, 0.0)])
def test_steps_that_were_offsets_after_all_are_taken_back_once(sd_s, seed, kept_ms):
    """Where offsets scatter by milliseconds, steps of 5 and 6 ms in the first seconds were such; else they stay."""
    grid, rng = LiveGrid(RATE_HZ, DEFAULT), np.random.default_rng(seed)
    offset, told = 0.0, set[float]()
    for second in range(100):
        if second % 5 == 0:
            offset = rng.normal(0, sd_s)
        for _ in range(10):
            grid.next += 25
            grid.arrivals.add(grid.next - 1, grid.next / RATE_HZ, -offset, -offset)
        if second in (3, 6):
            grid.set_clock_back(grid.next, 5e-3 if second == 3 else 6e-3)
            assert grid.kept == 0.0
        grid.relax(250)
        told.add(round(1e3 * (grid.correction - grid.kept), 3))
    assert told <= {0.0, -5.0, -6.0, -11.0}
    assert round(1e3 * (grid.correction - grid.kept), 3) == kept_ms
