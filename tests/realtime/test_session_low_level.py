"""The second map: summed with the first, averaged with it, and handed to the renderer as a latent."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.decoding.bundle import BundleError
from realtime.decoding.low_level_map import LowLevelMap
from realtime.session import Decoded, Session
from tests.support.session_parts import CONFIG, ListSource, SlowRenderer, bundle, recording

EVERY = range(0, 100_000, 10)
RANK = 3


def with_map(space="sd"):
    plain = bundle()
    rng = np.random.default_rng(4)
    times, channels, _ = plain.weights.shape
    low_level = LowLevelMap(
        rng.standard_normal((times, channels, RANK)).astype(np.float32),
        rng.standard_normal(RANK).astype(np.float32),
        rng.standard_normal((RANK, 4, 8, 8)).astype(np.float32),
        rng.standard_normal((4, 8, 8)).astype(np.float32),
        space,
    )
    return replace(plain, low_level=low_level)


def config(**render):
    settings = {"generator": "unclip", "size": 64, "low_level": True} | render
    return CONFIG.model_copy(update={"render": CONFIG.render.model_copy(update=settings)})


class Keeping(SlowRenderer):
    def __init__(self):
        super().__init__()
        self.requests = []

    def submit(self, request):
        self.requests.append(request)
        return super().submit(request)


def decode(settings, calibration, renderer):
    session = Session(settings, calibration, ListSource(*recording(), EVERY), renderer, clock=lambda: 0.0)
    return [event for event in session.run() if isinstance(event, Decoded)]


def test_each_request_starts_from_what_the_map_makes_of_the_repeats_so_far():
    calibration, renderer = with_map(), Keeping()
    low_level = calibration.low_level
    decoded = decode(config(), calibration, renderer)
    alone = decode(CONFIG, bundle(), SlowRenderer())
    assert len(decoded) == len(renderer.requests) == len(alone) == 16
    seen = {}
    for event, request, plain in zip(decoded, renderer.requests, alone, strict=True):
        one = low_level.bias + np.einsum("tc,tcr->r", event.epoch.samples, low_level.weights)
        seen.setdefault(event.percept.picture, []).append(one)
        mean = np.mean(seen[event.percept.picture], axis=0)
        np.testing.assert_allclose(event.percept.low_level, mean, rtol=1e-3, atol=1e-2)
        latent = low_level.mean + np.einsum("r,rchw->chw", event.percept.low_level, low_level.components)
        np.testing.assert_allclose(request.start, latent, rtol=2e-3, atol=2e-2)
        np.testing.assert_allclose(event.percept.embedding, plain.percept.embedding, rtol=1e-3, atol=1e-3)
        assert event.single.shape == plain.single.shape
    assert len(renderer.requests[0].start.tobytes()) == 4 * 8 * 8 * 2


def test_without_the_setting_pictures_start_from_noise():
    renderer = Keeping()
    decode(CONFIG, with_map(), renderer)
    assert {request.start is None for request in renderer.requests} == {True}


@pytest.mark.parametrize(
    ("calibration", "render", "message"),
    [
        (bundle(), {}, "the bundle has no low-level map; fit it with fit.low_level_rank"),
        (with_map("sdxl"), {}, "predicts latents of 'sdxl', unclip paints from 'sd'"),
        (with_map(), {"size": 512}, "is for pictures of 64 pixels, render.size is 512"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(calibration, render, message):
    with pytest.raises(BundleError, match=message):
        Session(config(**render), calibration, ListSource(*recording(), EVERY), Keeping(), clock=lambda: 0.0)
