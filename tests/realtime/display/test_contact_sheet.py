import numpy as np
import pytest

from realtime.display.contact_sheet import SheetEntry, contact_sheet, side_by_side


def plain(colour):
    return np.full((16, 16, 3), colour, np.uint8)


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def places(sheet, colour):
    """Return the first and last column at which `colour` stands."""
    columns = np.flatnonzero((np.asarray(sheet) == colour).all(axis=-1).any(axis=0))
    return columns[0], columns[-1]


def test_pair_stands_left_and_right():
    pair = side_by_side(plain(RED), plain(GREEN), tile=100)
    assert places(pair, RED)[1] < places(pair, GREEN)[0]
    assert places(pair, RED)[1] - places(pair, RED)[0] == 99


def test_sheet_shows_shown_then_reconstructed_then_nearest():
    entry = SheetEntry(plain(RED), plain(GREEN), [plain(BLUE)] * 3, "face", "face", 0.5, True)
    sheet = contact_sheet([entry], "2-way", simulated=True)
    assert places(sheet, RED)[1] < places(sheet, GREEN)[0] < places(sheet, GREEN)[1] < places(sheet, BLUE)[0]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_entry_is_on_the_sheet(count):
    entries = [SheetEntry(None, plain((200, 10 * k, 0)), label="x" * 200, guess="y" * 200) for k in range(count)]
    pixels = np.asarray(contact_sheet(entries, "t" * 500, simulated=False))
    for k in range(count):
        assert (pixels == (200, 10 * k, 0)).all(axis=-1).any()


def test_entries_stand_side_by_side_as_asked():
    entries = [SheetEntry(plain(colour), None) for colour in (RED, GREEN, BLUE)]
    sheet = contact_sheet(entries, "3-way", simulated=True, columns=3)
    lefts = [places(sheet, colour)[0] for colour in (RED, GREEN, BLUE)]
    assert lefts == sorted(set(lefts))
    below = contact_sheet(entries, "3-way", simulated=True)
    assert places(below, BLUE) == places(below, RED), "two side by side, the third below the first"


def test_simulated_eeg_is_called_so():
    entry = SheetEntry(plain(RED), plain(GREEN))
    sheets = [np.asarray(contact_sheet([entry], "2-way", simulated=simulated)) for simulated in (True, False)]
    assert (sheets[0] != sheets[1]).any()


def test_empty_sheet_is_refused():
    with pytest.raises(ValueError, match="at least one percept"):
        contact_sheet([], "nothing", simulated=False)
