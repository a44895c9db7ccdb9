from hypothesis import given
from hypothesis import strategies as st

from realtime.web.page_clock import FEWEST, KEPT, PageClock

DELAYS_S = st.tuples(st.floats(1e-4, 0.5), st.floats(1e-4, 0.5))


@given(st.floats(-1e6, 1e6), st.lists(DELAYS_S, min_size=FEWEST, max_size=KEPT))
def test_the_offset_is_wrong_by_no_more_than_is_said(offset_s, delays_s):
    """However unequal the ways there and back are."""
    clock, now = PageClock(), 1000.0
    for there_s, back_s in delays_s:
        clock.add(now, now + there_s - offset_s, now + there_s + back_s)
        now += 0.5
    known = clock.alignment
    assert abs(known.offset_s - offset_s) <= known.error_s + 1e-6
    assert known.round_trip_s <= min(sum(delay) for delay in delays_s) + 1e-6
    assert known.jitter_s <= 0.5 + 1e-6


def test_nothing_is_said_of_a_clock_before_enough_pings():
    clock = PageClock()
    for number in range(FEWEST):
        assert clock.alignment is None
        clock.add(number, 0.0, number + 0.001)
    assert clock.alignment is not None


def test_a_clock_that_drifts_is_followed_within_half_a_minute():
    """A hundred parts in a million: what was shortest long ago no longer counts."""
    clock = PageClock()
    for second in range(600):
        now = second / 2
        round_trip_s = 0.0005 if second == 0 else 0.002
        clock.add(now, (now + round_trip_s / 2) * (1 + 1e-4), now + round_trip_s)
    assert abs(clock.alignment.offset_s - -300e-4) < 0.0035
    assert clock.alignment.round_trip_s == 0.002 or abs(clock.alignment.round_trip_s - 0.002) < 1e-9
