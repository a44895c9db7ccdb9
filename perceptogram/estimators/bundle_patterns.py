"""The patterns of a bundle for MNE's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from realtime.decoding.bundle import Bundle
from realtime.electrodes import has_position, standard_montage

if TYPE_CHECKING:
    import mne

    from realtime.decoding.filtered_patterns import PatternAttribute


def bundle_patterns(bundle: Bundle) -> dict[str, mne.EvokedArray]:
    """Return the maps that the display shows, each at the moment when the electrodes tell its attribute best, in volts.

    They are there where the calibration had ``display.patterns`` set and could tell an attribute. A category's map is
    what it adds to the mean of all pictures; a hue's are its cosine and sine; a number's is that of one standard
    deviation more.

    Returns
    -------
    By ``attribute: level``; empty where the bundle has none.
    """
    import mne

    if bundle.patterns is None:
        return {}
    channels = list(bundle.spec.channels)
    info = mne.create_info(channels, bundle.rate_hz, "eeg")
    if all(map(has_position, channels)):
        info.set_montage(standard_montage(), match_case=False, verbose="error")
    found, first = {}, 0
    for attribute in bundle.patterns.attributes:
        for column in range(attribute.columns):
            volts = bundle.patterns.maps[first + column].astype(np.float64)[:, None] / 1e6
            name = f"{attribute.name}: {_level(attribute, column)}"
            found[name] = mne.EvokedArray(volts, info, tmin=attribute.latency_s, comment=name, verbose="error")
        first += attribute.columns
    return found


def _level(attribute: PatternAttribute, column: int) -> str:
    if attribute.kind == "categorical":
        return attribute.levels[column]
    return ("cosine", "sine")[column] if attribute.kind == "circular" else attribute.levels[-1]
