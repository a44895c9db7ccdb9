import numpy as np
import pytest

from realtime.display.canvas import ACCENT
from realtime.display.latency_waterfall import waterfall

BLUE = tuple(bytes.fromhex(ACCENT[1:]))


def test_bars_follow_each_other_and_the_longest_stage_has_the_longest_bar():
    record = {"last_sample": 10.0, "arrived": 10.01, "embedding": 10.02, "first_picture": 10.09, "final_picture": 10.1}
    pixels = np.asarray(waterfall([record] * 5))
    rows = [np.flatnonzero((line == BLUE).all(axis=-1)) for line in pixels[127::38]]
    rows = [row for row in rows if len(row)]
    assert len(rows) == 4
    lengths = [len(row) for row in rows]
    assert np.argmax(lengths) == 2
    assert lengths[2] == pytest.approx(7 * lengths[0], rel=0.1)
    assert [row[0] for row in rows[1:]] == pytest.approx([row[-1] for row in rows[:-1]], abs=2)


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="nothing to draw"):
        waterfall([{"arrived": 1.0}])
