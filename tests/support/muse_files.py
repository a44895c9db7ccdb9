"""Recordings as muse-lsl writes them, small: three electrodes, and a marker each second that one of them answers."""

import numpy as np

RATE_HZ = 128
LEAD_S = 4


def bumps(file, codes, seed=0):
    """Write a muse-lsl CSV with a marker each second, and a bump at the electrode of its class."""
    n = RATE_HZ * (len(codes) + 2 * LEAD_S)
    samples, marker = np.random.default_rng(seed).normal(0, 4, (n, 3)), np.zeros(n, int)
    for second, code in enumerate(codes, start=LEAD_S):
        marker[RATE_HZ * second] = code
        samples[RATE_HZ * second + 20 : RATE_HZ * second + 60, (code - 1) % 3] += 8
    cells = zip(np.arange(n) / RATE_HZ, samples, marker, strict=True)
    rows = [f"{timestamp:.6f},{a:.2f},{b:.2f},{c:.2f},{code}" for timestamp, (a, b, c), code in cells]
    file.write_text("\n".join(["timestamps,TP9,AF7,AF8,Marker0", *rows]) + "\n")
    return file
