"""What is kept of a live session."""

from perceptogram.live.result import LiveResult
from realtime.timeline.sample_grid import Hole, Recount


def test_lost_samples_that_are_counted_anew_are_no_other_hole(tmp_path):
    result = LiveResult.in_folder(tmp_path)
    for event in (Hole(10, 40, 1.0), Recount(-1, 1.0), Hole(90, 2, 2.0), Recount(2, 2.0)):
        result(event)
    result.close()
    assert (result.n_holes, result.lost_samples) == (2, 43)
