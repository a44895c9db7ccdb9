"""The low-level map finds again what was put into the EEG, and nothing where nothing was."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import FitError
from calibration.fit_low_level import fit_low_level, picture_latents, principal_components
from configs.schema import parse_config
from stimuli.pictures import open_pictures
from tests.support.calibration_examples import CHANNELS, as_examples, layout_of, make_trials

N_PICTURES = 40
REPEATS = 3
SIZE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from configs.torchvision_shim import load_torchvision

    load_torchvision()
    import diffusers
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("taesd")
    channels = (8, 8, 8, 8)
    tiny = diffusers.AutoencoderTiny(encoder_block_out_channels=channels, decoder_block_out_channels=channels)
    tiny.register_to_config(block_out_channels=None)
    tiny.save_pretrained(folder)
    return folder


def settings(weights, **fit):
    render = {"generator": "unclip", "decoder_weights": str(weights), "size": SIZE, "device": "cpu"}
    fit = {"low_level_rank": 6, "permutations": 100} | fit
    return parse_config({"render": render, "fit": fit, "window": {"start_s": 0.0, "stop_s": 0.4}}, "test")


def trials_of_drawn_pictures(signal, coordinates=None):
    trials, targets = make_trials(N_PICTURES, REPEATS, signal=0.0)
    names = open_pictures(settings(".").pictures, "test").names[:N_PICTURES]
    renamed = np.array(names)[[int(name.removeprefix("picture-")) for name in trials.names]]
    examples = replace(as_examples(trials, targets), groups=renamed, names=renamed)
    if coordinates is not None:
        rng = np.random.default_rng(3)
        pattern = rng.standard_normal((coordinates.shape[1], len(trials.times_s), len(CHANNELS)))
        own = np.array([sorted(names).index(name) for name in renamed])
        wave = np.einsum("nr,rtc->ntc", coordinates[own] / coordinates.std(), pattern * (trials.times_s >= 0)[:, None])
        examples = replace(examples, samples=examples.samples + (signal * wave).astype(np.float32))
    return examples, layout_of(trials)


def test_components_hold_latents_of_that_rank_entirely():
    rng = np.random.default_rng(0)
    latents = (rng.standard_normal((20, 3)) @ rng.standard_normal((3, 4 * 8 * 8)) + 2).reshape(20, 4, 8, 8)
    found = principal_components(latents.astype(np.float32), 10)
    assert len(found.axes) == 3
    assert found.explained == pytest.approx(1.0, abs=1e-5)
    rebuilt = found.mean + np.einsum("nr,rchw->nchw", found.coordinates, found.axes)
    np.testing.assert_allclose(rebuilt, latents, rtol=1e-3, atol=1e-3)
    flat = found.axes.reshape(3, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-5)


def test_pictures_of_one_layout_teach_nothing():
    with pytest.raises(FitError, match="the layouts of all 5 pictures are the same"):
        principal_components(np.ones((5, 4, 8, 8), np.float32), 3)


def test_the_layout_is_found_in_the_eeg_and_only_there(weights):
    from realtime.rendering.generators.make import make_generator

    config = settings(weights)
    drawn = open_pictures(config.pictures, "all")
    names = sorted(open_pictures(config.pictures, "test").names[:N_PICTURES])
    encode = make_generator(config.render).load_encoder()
    latents = picture_latents(names, lambda name: drawn.image(name, SIZE), encode)
    coordinates = principal_components(latents, 6).coordinates

    examples, layout = trials_of_drawn_pictures(8.0, coordinates)
    found, scores = fit_low_level(examples, layout, config)
    assert scores["two_way"] > 0.8
    assert scores["two_way_interval"][0] > 0.6
    assert scores["p"] < 0.05
    assert (found.rank, found.size, found.space) == (6, SIZE, "sd")
    window = (
        examples.samples[:, layout.start :] if found.weights.shape[0] < examples.samples.shape[1] else examples.samples
    )
    predicted = found.bias + np.einsum("ntc,tcr->nr", window, found.weights)
    own = np.array([names.index(name) for name in examples.names])
    assert np.corrcoef(predicted[:, 0], coordinates[own][:, 0])[0, 1] > 0.8
    latent = found.latent(predicted[0].astype(np.float32))
    assert latent.shape == latents[0].shape
    assert np.corrcoef(latent.ravel(), latents[own[0]].ravel())[0, 1] > 0.5

    nothing, _ = trials_of_drawn_pictures(0.0)
    _, null = fit_low_level(nothing, layout, config)
    low, high = null["two_way_interval"]
    assert low < 0.5 < high


def test_a_generator_without_latents_is_refused():
    config = parse_config({"fit": {"low_level_rank": 4}}, "test")
    examples, layout = trials_of_drawn_pictures(0.0)
    with pytest.raises(FitError, match="the embedded generator does not start from latents"):
        fit_low_level(examples, layout, config)


def test_classes_are_no_pictures(weights):
    config = settings(weights)
    config = config.model_copy(update={"markers": config.markers.model_copy(update={"classes": {"1": "house"}})})
    examples, layout = trials_of_drawn_pictures(0.0)
    with pytest.raises(FitError, match=r"markers\.classes name no pictures"):
        fit_low_level(examples, layout, config)
