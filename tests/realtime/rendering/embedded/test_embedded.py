"""The live loop of the embedded generator draws what its diffusers pipeline draws."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration.data.embeddings import load_encoder
from configs.schema import RenderSettings
from configs.torchvision_shim import load_torchvision
from realtime.rendering.embedded.generator import WEIGHTS, EmbeddedGenerator
from realtime.rendering.embedded.schedule import noise_levels
from realtime.rendering.messages import Origin, RenderRequest
from realtime.rendering.picture_reuse import Economy
from stimuli.drawn.colour import ground_hue, hue_distance, object_hue
from stimuli.drawn.manifest import test_pictures as drawn_pictures

load_torchvision()


@pytest.fixture(scope="module")
def generator() -> EmbeddedGenerator:
    generator = EmbeddedGenerator()
    generator.prepare()
    return generator


@pytest.fixture(scope="module")
def embedding(generator) -> np.ndarray:
    return np.random.default_rng(0).normal(size=generator.space.dims).astype(np.float32)


@pytest.mark.parametrize("steps", [1, 4])
def test_draws_what_the_pipeline_draws(generator, embedding, steps):
    from realtime.rendering.embedded.pipeline import EmbeddedPipeline

    pipeline = EmbeddedPipeline.from_pretrained(WEIGHTS).to(torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    source = torch.Generator().manual_seed(3)
    wanted = pipeline(torch.from_numpy(embedding)[None], steps, generator=source, output_type="pt").images[0]
    drawn = list(generator.stream(embedding, seed=3, steps=steps))[-1]
    assert np.abs(drawn - 255 * wanted.permute(1, 2, 0).numpy()).max() <= 1


@given(steps=st.integers(1, 50))
def test_noise_levels_are_those_of_the_scheduler(steps):
    from diffusers import FlowMatchLCMScheduler

    scheduler = FlowMatchLCMScheduler.from_pretrained(WEIGHTS / "scheduler")
    scheduler.set_timesteps(steps, sigmas=[1 - k / steps for k in range(steps)])
    np.testing.assert_allclose(noise_levels(steps), scheduler.sigmas[:-1].numpy(), atol=1e-6)


def test_yields_a_picture_a_step_and_the_same_ones_again(generator, embedding):
    first = list(generator.stream(embedding, 5, 3))
    assert [(p.shape, p.dtype) for p in first] == [((128, 128, 3), np.uint8)] * 3
    np.testing.assert_array_equal(first, list(generator.stream(embedding, 5, 3)))


def test_seed_and_embedding_both_matter(generator, embedding):
    picture, other_seed, other = (
        next(generator.stream(e, seed, 1)) for e, seed in ((embedding, 1), (embedding, 2), (-embedding, 1))
    )
    assert (picture != other_seed).any()
    assert np.abs(picture.astype(float) - other).mean() > 5


def test_no_step_is_computed_before_it_is_asked_for(generator, embedding, monkeypatch):
    calls = []
    unet, noise = generator._unet, generator.noise(0, 4)
    monkeypatch.setattr(generator, "_unet", lambda *a, **k: calls.append(1) or unet(*a, **k))
    monkeypatch.setattr(generator, "noise", lambda *_: noise)
    pictures = generator.stream(embedding, 0, 4)
    assert calls == []
    list(itertools.islice(pictures, 2))
    assert len(calls) == 2


def test_an_estimate_is_not_changed_by_later_steps(generator, embedding):
    pictures = generator.stream(embedding, 0, 2)
    first = next(pictures)
    kept = first.copy()
    next(pictures)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("embedding", "says"),
    [
        (np.zeros(1024, np.float32), r"\[1024\].*perceptogram-drawn"),
        (np.full(256, np.nan, np.float32), "256 values that are not finite"),
    ],
)
def test_embeddings_that_cannot_be_drawn_are_refused_at_once(generator, embedding, says):
    with pytest.raises(ValueError, match=says):
        generator.stream(embedding, 0, 1)


def test_no_steps_are_refused(generator, embedding):
    with pytest.raises(ValueError, match="steps is 0: a picture takes 1 to 50"):
        generator.stream(embedding, 0, 0)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no generator"):
        EmbeddedGenerator(tmp_path)


def test_space_is_known_before_loading():
    from calibration.data.embeddings import DRAWN_MODEL, DRAWN_TAG

    space = EmbeddedGenerator().space
    assert (space.model, space.pretrained, space.normalised) == (DRAWN_MODEL, DRAWN_TAG, False)


def test_weights_stay_small():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 30e6


def test_more_steps_than_any_setting_allows_are_refused_before_noise_is_drawn(generator):
    with pytest.raises(ValueError, match="steps is 10000: a picture takes 1 to 50"):
        generator.stream(np.zeros(generator.space.dims, np.float32), 0, 10_000)


def test_a_trials_picture_goes_on_from_its_preview(generator, embedding):
    """It takes the second half of the steps from there; another trial's begins with noise."""
    economy = Economy(RenderSettings(steps=4), generator)
    other = (embedding + 0.1).astype(np.float32)

    def paint(trial, what, **more):
        return list(economy.paint(RenderRequest(trial, what, 3, 4, **more)))

    preview = paint(7, embedding, at_s=0.3, preview=True)
    assert [(step, origin) for step, _, origin in preview] == [(step, Origin()) for step in (1, 2, 3, 4)]
    whole = paint(7, other)
    assert [(step, origin) for step, _, origin in whole] == [(step, Origin("preview", 7, 0.3)) for step in (3, 4)]
    assert str(whole[0][2]) == "from the preview at 0.3 s"
    drawn = [picture for _, picture, _ in preview]
    list(generator.stream(embedding, 3, 4))
    expected = list(generator.stream_warm(other, 3, 4))
    np.testing.assert_array_equal([picture for _, picture, _ in whole], expected)
    assert np.abs(drawn[-1].astype(int) - whole[-1][1]).mean() < 40
    assert [origin for _, _, origin in paint(8, embedding)] == [Origin()] * 4
    paint(9, embedding, at_s=0.3, preview=True)
    assert [origin for _, _, origin in paint(10, other)] == [Origin()] * 4


def test_a_preview_that_was_left_off_is_no_place_to_go_on_from(generator, embedding):
    economy = Economy(RenderSettings(steps=4), generator)
    next(economy.paint(RenderRequest(7, embedding, 3, 4, at_s=0.3, preview=True)))
    whole = list(economy.paint(RenderRequest(7, embedding, 3, 4)))
    assert [origin for _, _, origin in whole] == [Origin()] * 4


def test_a_true_embedding_gives_its_object_and_its_ground_their_colours(generator):
    """Of pictures that no part of it was trained on: what is off on a screen was lost on the way from the EEG."""
    pictures = drawn_pictures()[::20]
    embeddings = load_encoder().embed_images([picture.render(128) for picture in pictures])
    painted = [list(generator.stream(embedding, 0, 4))[-1] for embedding in embeddings]
    hue = hue_distance([object_hue(image) for image in painted], [picture.hue_deg for picture in pictures])
    ground = hue_distance([ground_hue(image) for image in painted], [picture.ground_hue_deg for picture in pictures])
    assert np.mean(hue <= 30) >= 0.8
    assert np.mean(ground <= 40) >= 0.7
