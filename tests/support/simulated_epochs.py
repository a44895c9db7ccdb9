"""Epochs of a simulated participant who answers chosen attributes of drawn pictures alone, for the tests of maps."""

from functools import cache

import numpy as np

from calibration.maps.readout import make_units
from calibration.model.examples import Examples, Layout
from configs.schema import FitSettings, PictureSettings
from realtime.sources.simulation.background import Background, BackgroundSettings
from realtime.sources.simulation.evoked import EvokedResponse, activations, components
from realtime.sources.simulation.features import picture_features
from stimuli.pictures import choose_pictures, open_pictures

RATE_HZ = 125.0
CHANNELS = (
    "Fz", "F3", "F4", "C3", "Cz", "C4", "T7", "T8", "P7", "P8", "P3", "P4",
    "Pz", "P9", "P10", "PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2", "Iz",
)  # fmt: skip
DRIVEN = ("hue", "texture", "superclass")
LAYOUT = Layout(0, np.zeros(50))
TIMES_S = np.arange(50) / RATE_HZ


@cache
def drive_of(name):
    """Return a picture's drive of every component; to draw and measure it takes longer than what most tests do."""
    return activations(picture_features(open_pictures(PictureSettings(), "calibration"), name), 0)


def answers(names):
    """Return each picture's drive of each driven component, ``[pictures, components]``; 0 for all other components."""
    keep = np.array([part.attribute in DRIVEN for part in components(CHANNELS)])
    return keep * np.array([drive_of(str(name)) for name in names])


def gains(names):
    """Return how much each electrode's response varies over pictures with each attribute, in microvolts.

    ``[channels, attributes]``: the standard deviation at the attribute's peak.
    """
    parts, drive = components(CHANNELS), answers(names)
    spreads = []
    for attribute in DRIVEN:
        own = [k for k, part in enumerate(parts) if part.attribute == attribute]
        maps = np.array([parts[k].amplitude_uv * parts[k].topography for k in own])
        spreads.append((drive[:, own] @ maps).std(axis=0))
    return np.stack(spreads, axis=1)


def latency_s(attribute):
    """Return when an attribute's response peaks."""
    return next(part.latency_s for part in components(CHANNELS) if part.attribute == attribute)


def make_examples(n_pictures=160, repeats=2, snr=1.0, seed=0):
    """Return trials of 0.4 s from onset, with the pictures' names in random order."""
    names = choose_pictures(open_pictures(PictureSettings(), "calibration"), n_pictures, seed)
    evoked = EvokedResponse(components(CHANNELS))
    rng = np.random.default_rng(seed)
    shown = rng.permutation(np.tile(np.arange(n_pictures), repeats))
    responses = np.array([snr * evoked.at(TIMES_S, drive) for drive in answers(names)])
    background = Background(CHANNELS, RATE_HZ, [seed, 0, 0], BackgroundSettings())
    noise = background.take(len(shown) * len(TIMES_S)).reshape(len(shown), len(TIMES_S), -1)
    samples = (noise + responses[shown]).astype(np.float32)
    listed = np.array(names)[shown]
    return Examples(samples, np.zeros((len(shown), 2)), listed, listed, np.ones(len(shown), bool))


def designs_of(units):
    """Return the designs of hue, texture, superclass, and of a number drawn by lot."""
    pictures = open_pictures(PictureSettings(), "calibration")
    known = [pictures.attributes(str(name)) for name in units.names]
    hue = np.deg2rad([attributes["hue_deg"] for attributes in known])
    lot = np.random.default_rng(1).standard_normal((len(units), 1))
    return [np.stack([np.cos(hue), np.sin(hue)], axis=1), *(one_hot(known, key) for key in DRIVEN[1:]), lot]


def one_hot(known, key):
    levels = sorted({attributes[key] for attributes in known})
    return np.array([[attributes[key] == level for level in levels] for attributes in known], dtype=float)


def units_of(examples, seed=0):
    return make_units(examples, LAYOUT, FitSettings(seed=seed))
