"""Layers of image towers become targets: of open_clip's and timm's, tiny and random, and of the encoder that ships."""

import json

import numpy as np
import pytest

from calibration.data import layers as module
from calibration.data.embeddings import EncoderError
from calibration.data.layers import layers_cached, load_tower, picture_layers, side_by_side
from configs.schema import parse_config
from configs.torchvision_shim import load_torchvision
from stimuli.pictures import open_pictures

TINY = "tiny-vit"
TINY_TIMM = "test_vit"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def names():
    return open_pictures(config().pictures, "test").names[:5]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of random weights: a transformer of open_clip's with three blocks, and timm's smallest."""
    load_torchvision()
    import open_clip
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("towers")
    shape = {"image_size": 32, "layers": 3, "width": 24, "head_width": 12, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    (folder / f"{TINY}.json").write_text(json.dumps({"embed_dim": 10, "vision_cfg": shape, "text_cfg": text}))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    files = {}
    for name, network in ((TINY, open_clip.create_model(TINY)), (TINY_TIMM, timm.create_model(TINY_TIMM))):
        files[name] = folder / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, files[name])
    return files


def config(**fit):
    return parse_config({"fit": fit}, "test")


def test_the_encoder_that_ships_has_layers(names):
    """A convolutional network: its stages differ in width, so each has columns of its own."""
    found, said = picture_layers(config(identification_layers=[3, 4, 5]), names)
    assert said == "perceptogram-drawn/builtin, blocks 3, 4, 5"
    assert found.shape[:2] == (3, 5)
    assert np.isfinite(found).all()
    used = np.abs(found).max(axis=1) > 0
    assert used.any(axis=1).all()
    assert (used.sum(axis=0) <= 1).all()
    assert np.ptp(found, axis=1).max() > 0


def test_blocks_of_a_transformer_share_their_columns(names, weights):
    settings = config(
        identification_model=TINY, identification_weights=str(weights[TINY]), identification_layers=[1, 3]
    )
    found, said = picture_layers(settings, names)
    assert found.shape == (2, 5, 24)
    assert said.endswith("blocks 1, 3")
    one, _ = picture_layers(
        settings.model_copy(update={"fit": settings.fit.model_copy(update={"identification_layers": (3,)})}), names
    )
    np.testing.assert_allclose(one[0], found[1], rtol=1e-5, atol=1e-5)
    output, said = picture_layers(
        settings.model_copy(update={"fit": settings.fit.model_copy(update={"identification_layers": ()})}), names
    )
    assert output.shape == (1, 5, 10)
    assert said.endswith("its output")


def test_a_block_is_the_mean_over_positions_of_what_comes_out_of_it(names, weights):
    """Caught by a hook where the block ends; the class token is no position."""
    import torch
    from PIL import Image

    settings = config(identification_model=TINY, identification_weights=str(weights[TINY]), identification_layers=[2])
    tower, images = load_tower(settings), open_pictures(settings.pictures).image
    caught = []
    tower.network.transformer.resblocks[1].register_forward_hook(lambda *what: caught.append(what[2]))
    [found] = tower.outputs([images(names[0])], [2])
    with torch.inference_mode():
        caught.clear()
        tower.network(tower.prepare(Image.fromarray(images(names[0])))[None])
    np.testing.assert_allclose(found[0], caught[0][0, 1:].mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)


def test_towers_of_timm(names, weights):
    settings = config(
        identification_model=f"timm/{TINY_TIMM}",
        identification_weights=str(weights[TINY_TIMM]),
        identification_layers=[2, 4],
    )
    found, said = picture_layers(settings, names)
    assert said == f"timm/{TINY_TIMM}, blocks 2, 4"
    assert found.shape == (2, 5, 64)
    pooled, _ = picture_layers(
        settings.model_copy(update={"fit": settings.fit.model_copy(update={"identification_layers": ()})}), names
    )
    assert pooled.shape == (1, 5, 64)


def test_what_was_computed_is_kept_by_content(names, tmp_path, monkeypatch):
    settings = config(identification_layers=[2])
    tower, load = load_tower(settings), open_pictures(settings.pictures).image
    asked = []
    outputs = module.Tower.outputs
    monkeypatch.setattr(
        module.Tower, "outputs", lambda self, images, blocks: asked.append(len(images)) or outputs(self, images, blocks)
    )
    first = layers_cached(tower, [2], names[:3], load, tmp_path)
    again = layers_cached(tower, [2], [names[2], names[3], names[0]], load, tmp_path)
    assert asked == [3, 1]
    np.testing.assert_array_equal(again[0][0], first[0][2])
    np.testing.assert_array_equal(again[0][2], first[0][0])
    layers_cached(tower, [3], names[:1], load, tmp_path)
    assert asked == [3, 1, 1]

    def cut(name):
        if name == names[4]:
            raise KeyboardInterrupt
        return load(name)

    monkeypatch.setattr(module, "BATCH", 1)
    with pytest.raises(KeyboardInterrupt):
        layers_cached(tower, [4], names, cut, tmp_path)
    asked.clear()
    layers_cached(tower, [4], names, load, tmp_path)
    assert asked == [1]


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        ({"identification_layers": [9]}, r"fit\.identification_layers \[9\]: perceptogram-drawn/builtin does not tell"),
        ({"identification_model": "timm/no_such"}, r"timm has no 'no_such'"),
        ({"identification_model": "ViT-L-14"}, r"name its weights too, such as 'ViT-L-14/openai'"),
        ({"identification_model": "no-such/tag"}, r"unknown encoder model 'no-such'"),
        ({"identification_model": "timm/vit_small_patch14_dinov2.lvd142m"}, r"set fit\.download: true to fetch them"),
    ],
)
def test_a_tower_that_is_not_there_is_told_in_one_line(names, fit, message):
    with pytest.raises(EncoderError, match=message) as error:
        picture_layers(config(**fit), names)
    assert "\n" not in str(error.value)


def test_weights_of_another_tower_are_told_in_one_line(names, weights):
    settings = config(identification_model=f"timm/{TINY_TIMM}", identification_weights=str(weights[TINY]))
    with pytest.raises(EncoderError, match=r"could not be loaded into timm's 'test_vit'") as error:
        picture_layers(settings, names)
    assert "\n" not in str(error.value)


def test_layers_of_one_width_lie_on_one_another_and_others_side_by_side():
    same = side_by_side([np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)])
    assert same.shape == (2, 2, 3)
    different = side_by_side([np.ones((2, 1), np.float32), np.full((2, 2), 2, np.float32)])
    np.testing.assert_array_equal(different[:, 0], [[1, 0, 0], [0, 2, 2]])
