"""A session whose pictures start from the low-level map's layout, painted by a real renderer in its own process."""

from dataclasses import replace

import numpy as np
import pytest

from configs.schema import RenderSettings
from realtime.decoding.gallery import Gallery
from realtime.decoding.low_level_map import LowLevelMap
from realtime.rendering.generators.latent import SPACE
from realtime.rendering.messages import Frame, Origin
from realtime.rendering.worker import RenderWorker
from realtime.session import Session
from tests.support.session_parts import CONFIG, ListSource, bundle, recording
from tests.support.tiny_models import make_model_folder, make_tiny_decoder

RANK, SIZE = 3, 64
PATIENCE_S = 90.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Tiny random weights of the true architecture."""
    home = tmp_path_factory.mktemp("weights")
    make_model_folder(home / "unclip", "unclip")
    make_tiny_decoder(home / "taesd")
    return home


def calibration():
    """A random map to the generator's embeddings, and one to layouts."""
    plain, rng = bundle(), np.random.default_rng(4)
    times, channels, _ = plain.weights.shape
    embeddings = rng.standard_normal((4, SPACE.dims)).astype(np.float32)
    names = plain.gallery.names
    low_level = LowLevelMap(
        0.01 * rng.standard_normal((times, channels, RANK)).astype(np.float32),
        rng.standard_normal(RANK).astype(np.float32),
        rng.standard_normal((RANK, 4, SIZE // 8, SIZE // 8)).astype(np.float32),
        rng.standard_normal((4, SIZE // 8, SIZE // 8)).astype(np.float32),
        "sd",
    )
    return replace(
        plain,
        weights=0.01 * rng.standard_normal((times, channels, SPACE.dims)).astype(np.float32),
        bias=rng.standard_normal(SPACE.dims).astype(np.float32),
        space=SPACE,
        gallery=Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
        low_level=low_level,
    )


def last_picture(renderer, settings, *, low_level):
    render = settings.model_copy(update={"low_level": low_level})
    source = ListSource(*recording(seconds=8.0), range(0, 100_000, 10))
    config = CONFIG.model_copy(update={"render": render})
    session = Session(config, calibration(), source, renderer, clock=lambda: 0.0)
    return [event for event in session.run() if isinstance(event, Frame) and event.final][-1]


def test_a_local_renderer_starts_from_the_layout_and_says_so(weights):
    where = {"weights": str(weights / "unclip"), "decoder_weights": str(weights / "taesd")}
    settings = RenderSettings(generator="unclip", size=SIZE, steps=2, **where)
    with RenderWorker(settings, threads=1) as renderer:
        renderer.wait_ready(PATIENCE_S)
        painted = last_picture(renderer, settings, low_level=True)
        assert "from the low-level map's layout" in renderer.state.text
        plain = last_picture(renderer, settings, low_level=False)
    assert painted.trial == plain.trial
    assert painted.origin == Origin("layout")
    assert plain.origin == Origin("noise")
    assert np.abs(painted.image.astype(int) - plain.image).mean() > 1
