import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.processes.supervised import Reports, Supervised
from realtime.rendering.messages import Frame
from realtime.rendering.picture_slots import SLOTS, InSlot, PictureSlots

CAPACITY = 3 * 16 * 16


def frame(value, shape=(16, 16, 3)):
    return Frame(value, 1, 1, np.full(shape, value % 256, np.uint8), {"final_picture": 1.0}, value)


@given(st.lists(st.booleans(), max_size=30))
def test_a_picture_comes_back_whole_or_not_at_all(actions):
    """True puts; False fetches the oldest that was not fetched."""
    slots, sent, put = PictureSlots(CAPACITY), [], 0
    for puts in actions:
        if puts:
            put += 1
            sent.append(slots.put(frame(put)))
        elif sent:
            oldest = sent.pop(0)
            found = slots.fetch(oldest)
            if put - oldest.number < SLOTS:
                assert found.trial == oldest.frame.trial
                np.testing.assert_array_equal(found.image, frame(found.trial).image)
                assert found.ledger == {"final_picture": 1.0}
            else:
                assert found is None


def test_what_was_fetched_stays_when_its_slot_is_used_again():
    slots = PictureSlots(CAPACITY)
    first = slots.fetch(slots.put(frame(1)))
    for value in range(2, 2 + 2 * SLOTS):
        slots.put(frame(value))
    assert (first.image == 1).all()


def test_no_pixel_is_sent_with_a_frame():
    sent = PictureSlots(CAPACITY).put(frame(1))
    assert isinstance(sent, InSlot)
    assert sent.frame.image.size == 0


def test_a_picture_that_is_being_overwritten_is_lost():
    slots = PictureSlots(CAPACITY)
    sent = slots.put(frame(1))
    number, _ = slots._slot(1)
    number[:] = bytes(8)
    assert slots.fetch(sent) is None


def test_a_picture_larger_than_a_slot_travels_with_its_frame():
    large = frame(1, (32, 16, 3))
    assert PictureSlots(CAPACITY).put(large) is large


def paint(pipe, slots, count):
    out = Reports(pipe)
    for value in range(1, count + 1):
        out.say(slots.put(frame(value)))
    out.close(10.0)


@pytest.mark.processes
def test_pictures_of_another_process_are_whole():
    slots = PictureSlots(CAPACITY)
    process = Supervised("painter", paint, (slots, 500))
    found, numbers = [], []

    def take(sent):
        numbers.append(sent.number)
        found.append(slots.fetch(sent))

    process.listen(take, lambda: len(numbers) == 500)
    process.close()
    whole = [picture for picture in found if picture is not None]
    assert found[-1] is not None  # nothing came after it
    for picture in whole:
        assert (picture.image == picture.trial % 256).all()
