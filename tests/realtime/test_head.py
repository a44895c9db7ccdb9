import math

import pytest

from realtime.head import electrode_position

NAMES = (
    "Fp1 Fpz Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 "
    "C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz"
).split()


def test_landmarks_of_the_ten_per_cent_system():
    for name, wanted in {
        "Cz": (0, 0), "Fpz": (0, 0.8), "Oz": (0, -0.8), "T7": (-0.8, 0), "T8": (0.8, 0), "C3": (-0.4, 0), "Fz": (0, 0.4),
    }.items():  # fmt: skip
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
