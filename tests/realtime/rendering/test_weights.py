import json
import shutil
from collections import namedtuple

import pytest
import tiny_models
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from configs.schema import RenderSettings
from realtime.rendering import parts, weights
from realtime.rendering.generator import GeneratorError, make_generator
from realtime.rendering.weights import Weights, locate

import diffusers  # isort: skip
import transformers  # isort: skip

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in diffusers
GENERATORS = ("sdxl-turbo", "sd15-few-step", "unclip")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """A cache of the hub's client that is empty, and no way out to the hub."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache


def model(where, **more):
    return Weights("a model", "render.weights", str(where), 2.5, "some licence", **more)


def in_cache(cache, repo, files):
    """Lay out a repository as the hub's client does."""
    snapshot = cache / f"models--{repo.replace('/', '--')}" / "snapshots" / "abc"
    for file in files:
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).touch()
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    return snapshot


def test_local_folders_and_files_are_taken_as_they_are(tmp_path):
    folder = tmp_path / "here"
    (folder / "unet").mkdir(parents=True)
    file = folder / "unet" / "w.safetensors"
    file.touch()
    assert locate([model(folder, needs=("unet/*.safetensors",)), model(file)]) == [folder, file]
    with pytest.raises(GeneratorError, match=r"render\.weights: folder .*here holds no vae/\*"):
        locate([model(folder, needs=("vae/*",))])


def test_hub_ids_are_looked_up_in_the_cache(empty_cache):
    snapshot = in_cache(empty_cache, "owner/name", ["unet/w.safetensors", "a/b.safetensors"])
    found = locate([model("owner/name", needs=("unet/*",)), model("owner/name/a/b.safetensors")])
    assert found == [snapshot, snapshot / "a/b.safetensors"]


def test_absent_weights_come_with_command_size_room_and_licence(empty_cache):
    in_cache(empty_cache, "owner/half", ["model_index.json"])
    wanted = [
        model("owner/half", needs=("unet/*",), files=("*.json", "unet/*.fp16.safetensors")),
        model("other/adapters/models/x.safetensors"),
    ]
    with pytest.raises(GeneratorError) as caught:
        locate(wanted)
    text = str(caught.value)
    assert "\n" not in text
    assert "hf download owner/half --include '*.json' --include 'unet/*.fp16.safetensors' && " in text
    assert "&& hf download other/adapters models/x.safetensors" in text
    assert "about 5.0 GB" in text
    assert "GB free" in text
    assert "some licence" in text


def test_no_room_is_said_before_any_download(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "total used free")(9e9, 8e9, 1e9))
    with pytest.raises(GeneratorError, match=r"about 2\.5 GB, but only 1\.0 GB are free"):
        locate([model("owner/name")], download=True)


def test_download_that_fails_is_one_line_with_the_command():
    with pytest.raises(
        GeneratorError, match=r"cannot download a model from owner/name: .*try: hf download owner/name$"
    ):
        locate([model("owner/name")], download=True)


def test_what_is_downloaded_is_told_before(monkeypatch, caplog, tmp_path):
    told = []
    monkeypatch.setattr(weights, "_download", lambda _: told.append(caplog.text) or tmp_path)
    assert locate([model("owner/name")], download=True) == [tmp_path]
    assert "downloading a model (owner/name), about 2.5 GB (licences: a model: some licence)" in told[0]


@pytest.mark.parametrize("where", ["nowhere", "/no/such/folder", "./x", "a b/c"])
def test_what_is_neither_path_nor_hub_id_is_refused(where):
    with pytest.raises(GeneratorError, match="neither a file or folder that exists nor a hub id"):
        locate([model(where)])


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_without_weights_say_how_to_get_all_of_them(name):
    with pytest.raises(GeneratorError) as caught:
        make_generator(RenderSettings(generator=name)).prepare()
    text = str(caught.value)
    commands = text.partition(" with: ")[2].partition(" — ")[0].split(" && ")
    assert len(commands) == {"sdxl-turbo": 3, "sd15-few-step": 4, "unclip": 2}[name]
    assert all(command.startswith("hf download ") for command in commands)


VOCABULARY = ["!", "a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]


def write_text_encoder(folder, suffix, pad, channels):
    torch.manual_seed(len(suffix))
    sizes = {"hidden_size": channels, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    config = transformers.CLIPTextConfig(
        vocab_size=len(VOCABULARY),
        projection_dim=12,
        max_position_embeddings=77,
        bos_token_id=5,
        eos_token_id=6,
        pad_token_id=0,
        **sizes,
    )
    kind = transformers.CLIPTextModelWithProjection if suffix else transformers.CLIPTextModel
    kind(config).save_pretrained(folder / f"text_encoder{suffix}")
    source = folder / "vocabulary"
    source.mkdir(exist_ok=True)
    (source / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(VOCABULARY)}))
    (source / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(source / "vocab.json"), str(source / "merges.txt"), pad_token=pad, model_max_length=77
    )
    tokenizer.save_pretrained(folder / f"tokenizer{suffix}")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_empty_prompt_is_embedded_once_and_kept_beside_the_model(tmp_path, family, monkeypatch):
    write_text_encoder(tmp_path, "", "<|endoftext|>", 16)
    if family == "sdxl":
        write_text_encoder(tmp_path, "_2", "!", 24)
    prompt = parts.load_prompt(None, tmp_path)

    def part(kind, suffix):
        name = "tokenizer" if "Tokenizer" in kind.__name__ else "text_encoder"
        return kind.from_pretrained(tmp_path / f"{name}{suffix}")

    shared = {
        "vae": None,
        "unet": None,
        "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        "text_encoder": part(transformers.CLIPTextModel, ""),
        "tokenizer": part(transformers.CLIPTokenizer, ""),
    }
    if family == "sdxl":
        pipe = diffusers.StableDiffusionXLPipeline(
            text_encoder_2=part(transformers.CLIPTextModelWithProjection, "_2"),
            tokenizer_2=part(transformers.CLIPTokenizer, "_2"),
            add_watermarker=False,
            **shared,
        )
        text, _, pooled, _ = pipe.encode_prompt("", device="cpu", do_classifier_free_guidance=False)
        torch.testing.assert_close(prompt["pooled"], pooled)
    else:
        pipe = diffusers.StableDiffusionPipeline(
            safety_checker=None, feature_extractor=None, requires_safety_checker=False, **shared
        )
        text, _ = pipe.encode_prompt("", "cpu", 1, do_classifier_free_guidance=False)
    torch.testing.assert_close(prompt["embeddings"], text)

    monkeypatch.setattr(parts, "embed_empty_prompt", lambda _: pytest.fail("the text encoder was loaded again"))
    again = parts.load_prompt(None, tmp_path)
    assert prompt.keys() == again.keys()
    for name, tensor in prompt.items():
        torch.testing.assert_close(again[name], tensor)


def test_without_text_encoder_the_file_is_asked_for(tmp_path):
    with pytest.raises(GeneratorError, match=r"no text encoder in .*render\.prompt to the empty_prompt\.safetensors"):
        parts.load_prompt(None, tmp_path)


def original_names(names):
    """Return what the original checkpoints call the tensors of our tiny SD 1.5 network: one layer a block."""
    inside = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "conv_shortcut": "skip_connection",
    }
    top = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    renamed = {}
    for name in names:
        block, _, rest = name.partition(".")
        layer, tensor = name.rsplit(".", 1)
        if layer in top:
            renamed[name] = f"{top[layer]}.{tensor}"
            continue
        if block == "mid_block":
            kind, index, rest = rest.split(".", 2)
            place = "middle_block.1" if kind == "attentions" else f"middle_block.{2 * int(index)}"
        else:
            number, kind, index, rest = rest.split(".", 3)
            number, index = int(number), int(index)
            if kind == "downsamplers":
                place, rest = f"input_blocks.{2 * number + 2}.0", rest.replace("conv", "op")
            elif block == "down_blocks":
                place = f"input_blocks.{2 * number + 1 + index}.{int(kind == 'attentions')}"
            elif kind == "upsamplers":
                place = f"output_blocks.{2 * number + 1}.{1 if number == 0 else 2}"
            else:
                place = f"output_blocks.{2 * number + index}.{int(kind == 'attentions')}"
        if kind == "resnets":
            inner, tensor = rest.rsplit(".", 1)
            rest = f"{inside[inner]}.{tensor}"
        renamed[name] = f"{place}.{rest}"
    return renamed


@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_network_in_a_single_file(tmp_path, layout, monkeypatch):
    monkeypatch.setattr(parts, "UNETS", tiny_models.TINY)
    unet = tiny_models.make_unet("sd15")
    tensors = unet.state_dict()
    if layout == "original":
        tensors = {f"model.diffusion_model.{name}": tensors[ours] for ours, name in original_names(tensors).items()}
    file = tmp_path / "checkpoint.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    loaded = parts.load_unet(file, "sd15", torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, unet.state_dict()[name].bfloat16())
    if layout == "diffusers":
        with pytest.raises(GeneratorError, match="does not hold a UNet of the sdxl architecture"):
            parts.load_unet(file, "sdxl", torch.float32)


def test_file_that_holds_no_network(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(GeneratorError, match="holds no UNet"):
        parts.load_unet(tmp_path / "x.safetensors", "sd15", torch.float32)


def test_half_precision_files_are_preferred_where_half_precision_is_wanted(tmp_path):
    unet = tiny_models.make_unet("sd15")
    unet.save_pretrained(tmp_path / "unet")
    changed = {
        name: tensor.half() + 1
        for name, tensor in load_file(tmp_path / "unet/diffusion_pytorch_model.safetensors").items()
    }
    save_file(changed, tmp_path / "unet/diffusion_pytorch_model.fp16.safetensors", {"format": "pt"})
    bias = unet.conv_out.bias
    for dtype, shift in ((torch.float32, 0), (torch.float16, 1)):
        loaded = parts.load_unet(tmp_path, "sd15", dtype).conv_out.bias
        torch.testing.assert_close(loaded.float(), bias + shift, atol=2e-3, rtol=0)
    (tmp_path / "unet/diffusion_pytorch_model.safetensors").unlink()
    torch.testing.assert_close(
        parts.load_unet(tmp_path, "sd15", torch.float32).conv_out.bias, bias + 1, atol=2e-3, rtol=0
    )
