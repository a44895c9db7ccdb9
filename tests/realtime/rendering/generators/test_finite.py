"""A picture that holds NaN or infinity is an error of one line, never a black picture."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from configs.schema import RenderSettings
from realtime.rendering.embedded.generator import EmbeddedGenerator
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator
from realtime.rendering.messages import RenderRequest
from realtime.rendering.picture_reuse import Economy
from tests.support import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
FAMILY = {"sdxl-turbo": "sdxl", "sd15-few-step": "sd15", "unclip": "unclip"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Tiny weights of all families, none of them spoilt."""
    home = tmp_path_factory.mktemp("weights")
    tiny_models.make_tiny_decoder(home / "taesd")
    for family in FAMILY.values():
        tiny_models.make_model_folder(home / family, family)
        if family != "unclip":
            tiny_models.make_adapter_file(home / f"{family}-adapter.safetensors", family)
    return home


@pytest.fixture
def own(house, tmp_path):
    """The same weights, to be spoilt."""
    return shutil.copytree(house, tmp_path / "weights")


def settings_in(home, name, **more):
    family = FAMILY[name]
    given = {"weights": str(home / family), "decoder_weights": str(home / "taesd"), "size": 64, "device": "cpu"}
    if name != "unclip":
        given |= {"adapter": str(home / f"{family}-adapter.safetensors"), "lora": "none"}
    return RenderSettings(generator=name, **(given | more))


def spoil(file, name, value):
    tensors = load_file(file)
    tensors[name].view(-1)[0] = value
    save_file(tensors, file)


def prepared(settings):
    generator = make_generator(settings)
    generator.prepare()
    return generator


def embedding(scale=1.5):
    return scale * np.random.default_rng(0).standard_normal(1024).astype(np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("file", "tensor", "told"),
    [
        ("unet/diffusion_pytorch_model.safetensors", "conv_in.weight", "conv_in.weight of the network holds NaN"),
        (
            "../taesd/diffusion_pytorch_model.safetensors",
            "decoder.layers.0.weight",
            "decoder.layers.0.weight of the decoder holds NaN",
        ),
        ("../sdxl-adapter.safetensors", "image_proj.proj.weight", "image_proj.proj.weight of the adapter holds NaN"),
        ("empty_prompt.safetensors", "embeddings", "embeddings of the empty prompt holds NaN"),
    ],
)
def test_weights_that_are_not_finite_are_named_before_anything_is_painted(own, file, tensor, told, value):
    settings = settings_in(own, "sdxl-turbo")
    spoil(own / "sdxl" / file, tensor, value)
    with pytest.raises(GeneratorError, match=rf"^sdxl-turbo paints nothing finite: {told}.*$"):
        make_generator(settings).prepare()


@pytest.mark.parametrize("name", FAMILY)
def test_embedding_out_of_the_range_of_half_precision(house, name):
    generator = prepared(settings_in(house, name, dtype="float16"))
    *_, before = generator.stream(embedding(), 1, 2)
    for scale in (1e5, 1e30):
        with pytest.raises(
            GeneratorError, match=r"^the picture is not finite: in float16 .* up to [\d.]+e\+\d+; .*'bf"
        ):
            list(generator.stream(embedding(scale), 1, 2))
    *_, after = generator.stream(embedding(), 1, 2)
    np.testing.assert_array_equal(after, before)  # nothing is left of it


def test_network_that_leaves_the_range_of_half_precision(own):
    """As some published weights do: finite numbers that half precision holds, and products that it does not."""
    settings = settings_in(own, "sd15-few-step")
    spoil(own / "sd15" / "unet" / "diffusion_pytorch_model.safetensors", "conv_out.bias", 6e4)
    spoil(own / "sd15" / "unet" / "diffusion_pytorch_model.safetensors", "conv_norm_out.bias", 6e4)
    for dtype in ("float32", "bfloat16"):
        prepared(settings.model_copy(update={"dtype": dtype}))
    with pytest.raises(
        GeneratorError, match=r"in float16 the network left its range.* set render\.dtype to 'bfloat16'"
    ):
        prepared(settings.model_copy(update={"dtype": "float16"}))


def test_a_picture_that_failed_starts_no_other(house):
    generator = prepared(settings_in(house, "unclip", dtype="float16"))
    economy = Economy(RenderSettings(generator="unclip", steps=2, warm_above=0.1), generator)
    with pytest.raises(GeneratorError, match="not finite"):
        list(economy.paint(RenderRequest(1, embedding(1e5), 1, 2)))
    frames = list(economy.paint(RenderRequest(2, embedding(), 1, 2)))
    assert [step for step, *_ in frames] == [1, 2]
    np.testing.assert_array_equal(frames[-1][1], list(generator.stream(embedding(), 1, 2))[-1])


def test_the_check_costs_no_copy_of_its_own(house, monkeypatch):
    generator = prepared(settings_in(house, "sd15-few-step"))
    copies = []
    clone = torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda tensor, **more: copies.append(tensor) or clone(tensor, **more))
    generator._sampler.fetch()
    assert len(copies) == 1


def test_embedded_generator_too():
    generator = EmbeddedGenerator()
    generator.prepare()
    generator._unet.conv_in.bias.data[0] = torch.nan
    with pytest.raises(GeneratorError, match="the weights hold NaN"):
        list(generator.stream(np.zeros(generator.space.dims, np.float32), 0, 1))
