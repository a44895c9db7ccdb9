import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.processes.picture_slots import SLOTS, PictureSlots
from realtime.processes.supervised import Reports, Supervised

CAPACITY = 3 * 16 * 16


def picture(value, shape=(16, 16, 3)):
    return np.full(shape, value % 256, np.uint8)


@given(st.lists(st.booleans(), max_size=30))
def test_a_picture_comes_back_whole_or_not_at_all(actions):
    """True puts; False fetches the oldest that was not fetched."""
    slots, sent, put = PictureSlots(CAPACITY), [], 0
    for puts in actions:
        if puts:
            put += 1
            sent.append((put, slots.put(picture(put))))
        elif sent:
            number, at = sent.pop(0)
            found = slots.fetch(at)
            if put - number < SLOTS:
                np.testing.assert_array_equal(found, picture(number))
            else:
                assert found is None


def test_what_was_fetched_stays_when_its_slot_is_used_again():
    slots = PictureSlots(CAPACITY)
    first = slots.fetch(slots.put(picture(1)))
    for value in range(2, 2 + 2 * SLOTS):
        slots.put(picture(value))
    assert (first == 1).all()


def test_a_picture_that_is_being_overwritten_is_lost():
    slots = PictureSlots(CAPACITY)
    at = slots.put(picture(1))
    number, _ = slots._slot(1)
    number[:] = bytes(8)
    assert slots.fetch(at) is None


def test_a_picture_larger_than_a_slot_is_not_taken():
    assert PictureSlots(CAPACITY).put(picture(1, (32, 16, 3))) is None


def paint(pipe, slots, count):
    out = Reports(pipe)
    for value in range(1, count + 1):
        out.say((value, slots.put(picture(value))))
    out.close(10.0)


@pytest.mark.processes
def test_pictures_of_another_process_are_whole():
    slots = PictureSlots(CAPACITY)
    process = Supervised("painter", paint, (slots, 500))
    found = []

    def take(sent):
        value, at = sent
        found.append((value, slots.fetch(at)))

    process.listen(take, lambda: len(found) == 500)
    process.close()
    assert found[-1][1] is not None  # nothing came after it
    for value, image in found:
        assert image is None or (image == value % 256).all()
