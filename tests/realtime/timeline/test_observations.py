"""Which timestamps are evidence does not depend on how samples were cut into chunks."""

import numpy as np
import pytest

from realtime.timeline.observations import SHORT, Runs


@pytest.mark.parametrize("size", [1, 7, SHORT, SHORT + 1, 900])
@pytest.mark.parametrize("packet", [1, 4, 40])
def test_timestamps_in_short_and_long_chunks_are_the_same_evidence(packet, size):
    rng = np.random.default_rng(packet)
    even = 1000 + np.arange(3000) / 250
    timestamps = even + np.repeat(rng.exponential(1e-3, 75), 40)  # deduced within a push
    timestamps[1000:2000] = even[1000:2000]  # an even clock
    handed = 2000 + np.arange(1000) // packet * packet  # stamped one by one as packets are handed over
    timestamps[2000:] = even[handed] + np.arange(1000) % packet * 1e-5 + rng.exponential(1e-4, 1000).cumsum() * 1e-3

    def evidence(size):
        runs = Runs(1 / 250)
        return [
            start + row for start in range(0, 3000, size) for row in runs.observations(timestamps[start : start + size])
        ]

    assert evidence(size) == evidence(3000)
    assert 100 < len(evidence(size)) < 3000
