import numpy as np
import pytest

from calibration.maps.montage import FEWEST_TO_DRAW, Montage
from realtime.electrodes import standard_montage

SMALL = ("TP9", "AF7", "AF8", "TP10")


def names(count):
    known = [name for name in standard_montage().ch_names if name[-1] in "z12345678" and len(name) < 4]
    return tuple(known[:count])


@pytest.mark.parametrize("channels", [SMALL, names(32), names(64)], ids=len)
def test_every_electrode_of_the_10_05_system_has_a_place(channels):
    montage = Montage.of(channels)
    assert montage.cannot_draw is None
    assert tuple(montage.info.ch_names) == channels
    assert len(montage.info["dig"]) >= len(channels)
    assert montage.neighbours.shape == (len(channels),) * 2
    assert (montage.neighbours == montage.neighbours.T).all()
    assert montage.neighbours.diagonal().all()


def test_names_are_known_in_any_case():
    assert len(Montage.of(("OZ", "pz", "Cz")).placed) == 3


def test_unknown_names_are_told_and_left_alone():
    montage = Montage.of(("Oz", "EXG1", "Pz", "Cz", "EXG2"))
    assert montage.drawable
    assert montage.cannot_draw.startswith("not on the head maps: EXG1, EXG2 (no such name")
    assert montage.placed.tolist() == [0, 2, 3]
    others = np.delete(montage.neighbours[1], 1)
    assert not others.any(), "nobody knows who its neighbours are"
    assert montage.neighbours[2, 3]


@pytest.mark.parametrize("placed", range(FEWEST_TO_DRAW))
def test_too_few_places_are_one_line(placed):
    channels = (*("Oz", "Pz")[:placed], "A1x", "B2y", "C3z")
    montage = Montage.of(channels)
    assert not montage.drawable
    assert f"{placed} of {len(channels)} electrodes have a place" in montage.cannot_draw
    assert "\n" not in montage.cannot_draw
    np.testing.assert_array_equal(montage.neighbours, np.eye(len(channels)))
