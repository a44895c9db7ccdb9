"""Where a trial's time goes, as a picture: one bar a stage, from the last sample to the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from realtime.display.canvas import ACCENT, FAINT, LINE, MUTED, Canvas

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_STAGES = {
    "arrived": "last sample arrives",
    "embedding": "embedding",
    "requested": "picture asked for",
    "first_picture": "first picture",
    "final_picture": "final picture",
    "shown": "on the screen",
}
_WIDTH, _ROW, _LABELS, _NUMBERS, _MARGIN = 960.0, 38.0, 180.0, 250.0, 32.0


def waterfall(records: Sequence[Mapping[str, float]]) -> Image.Image:
    """Return a picture of `records`, each a trial's times by stage as `latency_log.trial_times` gives them.

    A bar runs from the median end of the stage before to the median end of its own, a thin line on to the 95th
    percentile. The columns give how long after the last sample's timestamp the stage ended: p50, p95 and p99.

    Raises
    ------
    ValueError
        If no record has a last sample and a later stage.
    """
    ends = {stage: _after_last_sample(records, stage) for stage in _STAGES}
    ends = {stage: times for stage, times in ends.items() if len(times)}
    if not ends:
        msg = "nothing to draw: no trial has both its last sample and a later stage"
        raise ValueError(msg)
    longest = max(float(np.percentile(times, 95)) for times in ends.values())
    longest = max(longest, 1e-6)
    left, right = _MARGIN + _LABELS, _WIDTH - _MARGIN - _NUMBERS
    canvas = Canvas((round(_WIDTH), round(118 + _ROW * len(ends) + 20)))
    canvas.text((_MARGIN, 44), "From the last sample to the screen", 20)
    canvas.text((_WIDTH - _MARGIN, 44), f"{len(records)} trials", 14, FAINT, "right")
    for k, name in enumerate(("p50", "p95", "p99")):
        canvas.text((right + 90 + 80 * k, 92), f"{name} ms", 12, FAINT, "right")
    before = 0.0
    for row, (stage, times) in enumerate(ends.items()):
        y = 118 + _ROW * row
        p50, p95, p99 = (float(value) for value in np.percentile(times, [50, 95, 99]))
        start, middle, stop = (left + (right - left) * max(0.0, time) / longest for time in (before, p50, p95))
        canvas.rectangle((left, y + 18, right, y + 19), LINE)
        if stop > middle:
            canvas.rectangle((middle, y + 8, stop, y + 10), MUTED)
        canvas.rectangle((min(start, middle), y + 2, max(middle, start + 2), y + 16), ACCENT, 3)
        canvas.text((_MARGIN, y + 14), _STAGES[stage], 14, MUTED)
        for k, value in enumerate((p50, p95, p99)):
            canvas.text((right + 90 + 80 * k, y + 14), f"{value * 1000:.2f}", 14, align="right")
        before = p50
    return canvas.image


def _after_last_sample(records: Sequence[Mapping[str, float]], stage: str) -> NDArray[np.float64]:
    return np.array([r[stage] - r["last_sample"] for r in records if stage in r and "last_sample" in r])
