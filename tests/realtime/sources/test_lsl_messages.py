import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from realtime.processes.supervised import Beat
from realtime.sources.base import Chunk, Marker, Notice
from realtime.sources.lsl_messages import decode, encode


@given(
    samples=hnp.arrays(np.float32, st.tuples(st.integers(1, 50), st.integers(1, 20))),
    first=st.floats(-1e9, 1e9),
    arrived=st.floats(0, 1e9),
)
def test_chunks_travel_bit_for_bit(samples, first, arrived):
    timestamps = first + np.arange(len(samples)) / 250
    received = decode(encode(Chunk(timestamps, samples, arrived)))
    assert received.timestamps.tobytes() == timestamps.tobytes()
    assert received.samples.tobytes() == samples.tobytes()
    assert received.samples.shape == samples.shape
    assert received.arrived == arrived


def test_everything_else_travels_too():
    for message in (Marker(1.0, "picture", "cat", {"trial": 3}), Notice(2.0, "lost", "gone"), Beat()):
        assert decode(encode(message)) == message
