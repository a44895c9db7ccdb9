"""The simulated evoked response: components of known latency and topography, driven by a picture's features.

The layout follows what linear decoding of human EEG found (Fei et al., arXiv 2404.01250): low-level features from
100 ms over the occiput, smooth and blue as lateral, textured and red as medial negativity near 120 to 140 ms,
animate things as lateral negativity near 180 ms, and the identity of things later and more widely.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from realtime.sources.simulation.features import Features
from realtime.sources.simulation.head import topography

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FIRST_S, LAST_S = 0.05, 0.6
"""Interval after onset outside which every response is zero: a marker may come up to `FIRST_S` late."""

Poles = tuple[tuple[str, float], ...]
MEDIAL_LATERAL: Poles = (("POz", -1.0), ("P7", 0.8), ("P8", 0.8))
TEXTURE_SITES: tuple[Poles, ...] = (
    (("O1", 1.0), ("O2", -1.0)),
    (("PO3", 1.0), ("PO4", -1.0)),
    (("Iz", 1.0), ("Pz", -1.0)),
    (("PO7", 1.0), ("Oz", -1.0), ("PO8", 1.0)),
)
SHAPE_SITES: tuple[Poles, ...] = (
    (("O1", 1.0), ("PO3", -1.0)),
    (("O2", 1.0), ("PO4", -1.0)),
    (("Oz", 1.0), ("POz", -1.0)),
    (("PO7", 1.0), ("O1", -1.0)),
    (("PO8", 1.0), ("O2", -1.0)),
    (("Iz", 1.0), ("Oz", -1.0)),
    (("P1", 1.0), ("PO3", -1.0)),
    (("P2", 1.0), ("PO4", -1.0)),
)
SUPERCLASS_SITES: tuple[Poles, ...] = (
    (("P7", 1.0),),
    (("P8", 1.0),),
    (("PO7", 1.0), ("P9", -1.0)),
    (("PO8", 1.0), ("P10", -1.0)),
    (("P3", 1.0), ("P4", -1.0)),
)
CONCEPT_SITES: tuple[Poles, ...] = (
    (("P9", 1.0),),
    (("P10", 1.0),),
    (("PO7", 1.0), ("TP7", -1.0)),
    (("PO8", 1.0), ("TP8", -1.0)),
    (("Pz", 1.0), ("Oz", -1.0)),
    (("P5", 1.0), ("CP1", -1.0)),
    (("P6", 1.0), ("CP2", -1.0)),
    (("T7", 1.0), ("T8", -1.0)),
)
CONCEPT_LATENCIES_S = (0.25, 0.285, 0.32, 0.36)
WIDTH_RAD = 0.4


@dataclass(frozen=True)
class Component:
    """One part of the evoked response.

    Attributes
    ----------
    name
        Such as ``"brightness"`` or ``"concept-3"``; what is before the dash is the attribute that drives it.
    latency_s, width_s
        Time of the peak after onset and standard deviation of its Gaussian time course.
    amplitude_uv
        Peak at the strongest electrode for an activation of one, at a signal-to-noise setting of one.
    topography
        Scalp map ``[channels]`` with a peak of one.
    """

    name: str
    latency_s: float
    width_s: float
    amplitude_uv: float
    topography: NDArray[np.float64]

    @property
    def attribute(self) -> str:
        """The attribute that drives this component."""
        return self.name.partition("-")[0]


def components(channels: tuple[str, ...]) -> tuple[Component, ...]:
    """Return the ground truth: every component of the response at these electrodes, in the order of `activations`."""
    layout: list[tuple[str, float, float, float, Poles]] = [
        ("onset-p1", 0.100, 0.016, 5.0, (("O1", 1.0), ("O2", 1.0))),
        ("onset-n1", 0.165, 0.022, 6.0, (("PO7", -1.0), ("PO8", -1.0))),
        ("onset-p2", 0.230, 0.030, 4.0, (("Pz", 1.0),)),
        ("brightness", 0.100, 0.016, 6.0, (("Oz", 1.0),)),
        ("contrast", 0.110, 0.016, 4.0, (("POz", 1.0), ("Fz", -0.5))),
        ("hue-cos", 0.120, 0.018, 6.5, MEDIAL_LATERAL),
        ("hue-sin", 0.120, 0.018, 6.5, (("PO3", 1.0), ("PO8", -1.0))),
        ("ground-cos", 0.135, 0.018, 3.0, (("P5", 1.0), ("P6", -1.0))),
        ("ground-sin", 0.135, 0.018, 3.0, (("P1", 1.0), ("O2", -1.0))),
        ("roughness", 0.140, 0.020, 4.0, MEDIAL_LATERAL),
        *((f"texture-{k}", 0.150, 0.020, 7.0, site) for k, site in enumerate(TEXTURE_SITES)),
        *((f"shape-{k}", 0.115, 0.018, 2.5, site) for k, site in enumerate(SHAPE_SITES)),
        ("animate", 0.180, 0.022, 5.0, (("P7", -1.0), ("P8", -1.0))),
        *((f"superclass-{k}", 0.195, 0.024, 11.5, site) for k, site in enumerate(SUPERCLASS_SITES)),
        *(
            (f"concept-{k + wave * len(CONCEPT_SITES)}", latency, 0.020, 31.0, site)
            for wave, latency in enumerate(CONCEPT_LATENCIES_S)
            for k, site in enumerate(CONCEPT_SITES)
        ),
    ]
    return tuple(
        Component(name, latency, width, amplitude, topography(channels, poles, WIDTH_RAD))
        for name, latency, width, amplitude, poles in layout
    )


def activations(features: Features, seed: int) -> NDArray[np.float64]:
    """Return how strongly a picture drives each component, ``[components]``.

    Named features (texture, superclass, concept) have a random direction each, the same in every session with `seed`.
    """
    ground = features.ground_hue_rad
    return np.concatenate(
        [
            [1.0, 1.0, 1.0, features.brightness, features.contrast],
            [np.cos(features.hue_rad), np.sin(features.hue_rad)],
            [0.0, 0.0] if ground is None else [np.cos(ground), np.sin(ground)],
            [features.roughness],
            _code("texture", features.texture, len(TEXTURE_SITES), seed),
            features.shape,
            [features.animate],
            _code("superclass", features.superclass, len(SUPERCLASS_SITES), seed),
            _code("concept", features.concept, len(CONCEPT_LATENCIES_S) * len(CONCEPT_SITES), seed),
        ]
    )


class EvokedResponse:
    """The response at given electrodes, as a function of time and activations.

    Parameters
    ----------
    parts
        The components, as from `components`.
    """

    def __init__(self, parts: Sequence[Component]) -> None:
        self.parts = tuple(parts)
        self._latency = np.array([part.latency_s for part in parts])
        self._width = np.array([part.width_s for part in parts])
        self._maps = np.array([part.amplitude_uv * part.topography for part in parts])

    def at(self, after_onset_s: NDArray[np.float64], strengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the response at times ``[times]`` after onset, ``[times, channels]`` in microvolts.

        `strengths` are activations ``[components]``. Outside `FIRST_S` to `LAST_S` the response is zero.
        """
        course = np.exp(-0.5 * ((after_onset_s[:, None] - self._latency) / self._width) ** 2)
        course[(after_onset_s < FIRST_S) | (after_onset_s > LAST_S)] = 0.0
        response: NDArray[np.float64] = (course * strengths) @ self._maps
        return response


def _code(attribute: str, name: str | None, dims: int, seed: int) -> NDArray[np.float64]:
    """Return a random unit vector that belongs to a name, independent of every other name's."""
    if name is None:
        return np.zeros(dims)
    digest = hashlib.sha256(f"{attribute}:{name}".encode()).digest()
    vector = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")]).normal(size=dims)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit
