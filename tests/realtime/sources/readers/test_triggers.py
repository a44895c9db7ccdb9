import numpy as np
import pytest

from realtime.sources.readers.triggers import read_triggers, resting_value


def runs(*pairs):
    return np.concatenate([np.full(length, value, np.int64) for value, length in pairs])


@pytest.mark.parametrize(
    ("values", "codes", "rest"),
    [
        (runs((0, 50), (1, 5), (0, 50), (2, 5), (0, 50)), [1, 2], 0),
        (runs((0, 50), (2, 75), (1, 75), (2, 75), (1, 76)), [2, 1, 2, 1], 0),
        (runs((2, 40), (1, 75), (2, 75), (1, 75)), [1, 2, 1], 0),
        (runs((255, 50), (254, 5), (255, 50), (253, 5), (255, 50)), [254, 253], 255),
        (runs((0, 3), (255, 50), (254, 5), (255, 50)), [254], 255),
        (runs((0, 20), (1, 60), (0, 20), (2, 60), (0, 20)), [1, 2], 0),
        (runs((0, 20), (7, 300)), [7], 0),
        (runs((9, 100)), [], 0),
        (runs((0, 40), (4, 90), (0, 10), (4, 90), (0, 10), (4, 90)), [4, 4, 4], 0),
        (runs((0, 50), (1, 5), (3, 5), (0, 50)), [1, 3], 0),
    ],
)
def test_every_change_but_that_back_to_rest_is_an_event(values, codes, rest):
    found = read_triggers(values)
    assert [code for _, code in found] == codes
    assert all(values[row] == code != values[row - 1] for row, code in found)
    assert resting_value(values) == rest
