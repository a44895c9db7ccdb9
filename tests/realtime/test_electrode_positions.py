import math

import pytest

from realtime.electrodes import electrode_position, head_places

NAMES = ["Fpz", "AFz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz", "Iz", "Fp1", "Fp2", "O1", "O2", "P9", "P10"]
NAMES += [f"{row}{number}" for row in ("F", "C", "P", "FC", "CP") for number in range(1, 7)]
NAMES += [f"{row}{number}" for row in ("F", "T", "P", "FT", "TP", "AF", "PO") for number in (7, 8)]
NAMES += ["AF3", "AF4", "PO3", "PO4"]


def test_landmarks_of_the_ten_per_cent_system():
    landmarks = {"Cz": (0, 0), "Fpz": (0, 0.8), "Oz": (0, -0.8), "T7": (-0.8, 0), "C3": (-0.4, 0), "Fz": (0, 0.4)}
    for name, wanted in landmarks.items():
        assert electrode_position(name) == pytest.approx(wanted, abs=1e-9), name


def test_left_and_right_mirror_each_other():
    for name in NAMES:
        if name[-1].isdigit():
            number = int(name.lstrip("ACFOPTpz"))
            twin = name.removesuffix(str(number)) + str(number + (1 if number % 2 else -1))
            x, y = electrode_position(name)
            assert electrode_position(twin) == pytest.approx((-x, y))


def test_no_two_electrodes_sit_on_each_other_and_all_are_on_the_head():
    places = [electrode_position(name) for name in NAMES]
    assert all(math.hypot(*place) <= 1.0 + 1e-9 for place in places)
    apart = min(math.dist(a, b) for i, a in enumerate(places) for b in places[:i])
    assert apart > 0.1


@pytest.mark.parametrize(("written", "name"), [("FP1", "Fp1"), (" cz ", "Cz"), ("T3", "T7"), ("M1", "TP9")])
def test_other_spellings(written, name):
    assert electrode_position(written) == electrode_position(name) is not None


@pytest.mark.parametrize("name", ["EOG", "", "Status", "C11", "Right AUX", "1"])
def test_what_is_no_electrode_has_no_place(name):
    assert electrode_position(name) is None


def test_plugs_have_no_place_on_a_head():
    assert head_places(["A1", "A2", "A3", "Cz"]) == [None, None, None, (0.0, 0.0)]
    assert None not in head_places(["A1", "A2", "Cz"]), "the earlobes"
