import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from configs.schema import RenderSettings
from realtime.rendering.diffusion import model_loading, weight_files
from realtime.rendering.diffusion import prompt as prompt_of_model
from realtime.rendering.diffusion.weight_files import Weights, locate
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.make import make_generator
from tests.support import published_layouts, tiny_models

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
        model("owner/half", needs=("unet/*",), files=("*.json", "unet/*.safetensors")),
        model("some/tiny", files=("*.json", "*.safetensors")),
        model("other/adapters/models/x.safetensors"),
        model("owner/none", files=("unet/*.safetensors",)),
    ]
    with pytest.raises(GeneratorError) as caught:
        locate(wanted)
    text = str(caught.value)
    assert "\n" not in text
    # what of it is there was downloaded in half precision and has none
    assert "hf download owner/half --include '*.json' --include 'unet/*.safetensors' && " in text
    assert "&& hf download other/adapters models/x.safetensors && " in text
    assert "hf download some/tiny --include '*.json' --include '*.safetensors'" in text
    assert "hf download owner/none --include 'unet/*.fp16.safetensors'" in text
    assert "about 10.0 GB" in text
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
    monkeypatch.setattr(weight_files, "_download", lambda _: told.append(caplog.text) or tmp_path)
    assert locate([model("owner/name")], download=True) == [tmp_path]
    assert "downloading a model (owner/name), about 2.5 GB (licences: a model: some licence)" in told[0]


PIPELINE = model("owner/name", files=("*.json", "unet/*.safetensors", "vae/*.safetensors"))


@pytest.mark.parametrize(
    ("published", "chosen"),
    [
        (["unet/m.safetensors", "unet/m.fp16.safetensors"], ["unet/m.fp16.safetensors"]),
        (["unet/m.safetensors", "unet/m.non_ema.safetensors", "unet/m.bin"], ["unet/m.safetensors"]),
        (
            ["unet/m.fp16-00001-of-00002.safetensors", "unet/m.fp16-00002-of-00002.safetensors", "unet/m.safetensors"],
            ["unet/m.fp16-00001-of-00002.safetensors", "unet/m.fp16-00002-of-00002.safetensors"],
        ),
        # each network for itself
        (["unet/m.fp16.safetensors", "vae/m.safetensors"], ["unet/m.fp16.safetensors", "vae/m.safetensors"]),
        (["unet/config.json", "model.safetensors", "README.md"], ["unet/config.json"]),
    ],
)
def test_half_precision_is_downloaded_where_there_is_any(published, chosen):
    assert sorted(weight_files.worth_downloading(published, PIPELINE)) == sorted(chosen)


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


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_empty_prompt_is_embedded_once_and_kept_beside_the_model(tmp_path, family, monkeypatch):
    published_layouts.write_text_encoder(tmp_path, "", "<|endoftext|>")
    if family == "sdxl":
        published_layouts.write_text_encoder(tmp_path, "_2", "!")
    prompt = prompt_of_model.load_prompt(None, tmp_path)
    for name, expected in published_layouts.stock_prompt(tmp_path).items():
        torch.testing.assert_close(prompt[name], expected)

    monkeypatch.setattr(
        prompt_of_model, "embed_with_folder", lambda _: pytest.fail("the text encoder was loaded again")
    )
    again = prompt_of_model.load_prompt(None, tmp_path)
    assert prompt.keys() == again.keys()
    for name, tensor in prompt.items():
        torch.testing.assert_close(again[name], tensor)


def test_without_text_encoder_the_file_is_asked_for(tmp_path):
    with pytest.raises(GeneratorError, match=r"no text encoder in .*render\.prompt to the empty_prompt\.safetensors"):
        prompt_of_model.load_prompt(None, tmp_path)


def test_file_that_holds_no_network(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(GeneratorError, match="holds no UNet"):
        model_loading.load_unet(tmp_path / "x.safetensors", "sd15", torch.float32)


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
        loaded = model_loading.load_unet(tmp_path, "sd15", dtype).conv_out.bias
        torch.testing.assert_close(loaded.float(), bias + shift, atol=2e-3, rtol=0)
    (tmp_path / "unet/diffusion_pytorch_model.safetensors").unlink()
    torch.testing.assert_close(
        model_loading.load_unet(tmp_path, "sd15", torch.float32).conv_out.bias, bias + 1, atol=2e-3, rtol=0
    )


def damage(file, how):
    whole = file.read_bytes()
    if how == "cut short":
        file.write_bytes(whole[: len(whole) // 2])
    elif how == "a page of the web":
        file.write_bytes(b"<!doctype html><title>Sign in</title>")
    elif how == "empty":
        file.write_bytes(b"")
    else:
        file.write_bytes(b"\xff" * 64 + whole[64:])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Every kind of file, undamaged."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_models.make_model_folder(folder / "sd15", "sd15")
    tiny_models.make_adapter_file(folder / "adapter.safetensors", "sd15")
    tiny_models.make_lora_file(folder / "lora.safetensors", "sd15")
    tiny_models.make_tiny_decoder(folder / "taesd")
    return folder


@pytest.mark.parametrize("how", ["cut short", "a page of the web", "empty", "a spoilt head"])
@pytest.mark.parametrize("part", ["unet", "adapter", "lora", "decoder", "prompt", "single", "adapter.bin"])
def test_damaged_file_is_named_in_one_line(whole, tmp_path, part, how):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "sd15"
    files = {
        "unet": folder / "unet" / "diffusion_pytorch_model.safetensors",
        "prompt": folder / "empty_prompt.safetensors",
        "adapter": tmp_path / "adapter.safetensors",
        "lora": tmp_path / "lora.safetensors",
        "decoder": tmp_path / "taesd" / "diffusion_pytorch_model.safetensors",
        "single": tmp_path / "single.safetensors",
        "adapter.bin": tmp_path / "adapter.bin",
    }
    shutil.copy(files["unet"], files["single"])
    torch.save(load_file(files["adapter"]), files["adapter.bin"])
    damage(files[part], how)
    settings = RenderSettings(
        generator="sd15-few-step",
        device="cpu",
        size=64,
        weights=str(files["single"] if part == "single" else folder),
        adapter=str(files["adapter.bin"] if part == "adapter.bin" else files["adapter"]),
        lora=str(files["lora"]),
        decoder_weights=str(tmp_path / "taesd"),
    )
    with pytest.raises(GeneratorError) as caught:
        make_generator(settings).prepare()
    text = str(caught.value)
    assert str(files[part]) in text, text
    assert "\n" not in text
    assert len(text) < 500


def test_file_with_code_in_it_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"image_proj": {}, "ip_adapter": Trap()}, tmp_path / "adapter.bin")
    with pytest.raises(GeneratorError, match=r"adapter\.bin .*holds code beside its tensors"):
        model_loading.load_adapter(tmp_path / "adapter.bin")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".gguf", ".onnx", ""])
def test_file_of_another_format_is_refused(tmp_path, suffix):
    file = tmp_path / f"model{suffix}"
    file.write_bytes(b"GGUF")
    with pytest.raises(GeneratorError, match=r"is no file of weights: it must be one of \.safetensors, \.bin"):
        model_loading.load_unet(file, "sd15", torch.float32)


def test_missing_shard_is_named(tmp_path):
    unet = tiny_models.make_unet("sd15")
    unet.save_pretrained(tmp_path / "unet", max_shard_size="1MB")
    shards = sorted((tmp_path / "unet").glob("*-of-*.safetensors"))
    assert len(shards) > 1
    loaded = model_loading.load_unet(tmp_path, "sd15", torch.float32)
    torch.testing.assert_close(loaded.conv_in.weight, unet.conv_in.weight)
    shards[1].unlink()
    with pytest.raises(GeneratorError, match=rf"unet is not whole: {shards[1].name} of .*index\.json is missing"):
        model_loading.load_unet(tmp_path, "sd15", torch.float32)


@pytest.mark.parametrize(
    ("decoder", "holds", "complaint"),
    [
        ("tiny", "full", r"holds no tiny decoder \(TAESD\): set render\.decoder to 'full'"),
        ("full", "tiny", "holds no full autoencoder: set render.decoder to 'tiny'"),
    ],
)
def test_decoder_of_the_other_kind_is_told(tmp_path, decoder, holds, complaint):
    file = tmp_path / "decoder.safetensors"
    if holds == "full":
        published_layouts.write(tiny_models.full_decoder("sd15").state_dict(), file)
    else:
        tiny = tiny_models.make_tiny_decoder(tmp_path / "taesd")
        shutil.copy(tiny / "diffusion_pytorch_model.safetensors", file)
    with pytest.raises(GeneratorError, match=complaint):
        model_loading.load_autoencoder(file, decoder, "sd15", torch.float32)


def test_decoder_alone_cannot_make_latents(tmp_path):
    tiny = tiny_models.diffusers.AutoencoderTiny.from_pretrained(tiny_models.make_tiny_decoder(tmp_path / "taesd"))
    file = published_layouts.write(
        published_layouts.original_tiny_decoder(tiny), tmp_path / "taesd_decoder.safetensors"
    )
    with pytest.raises(GeneratorError, match="holds the decoder alone"):
        model_loading.load_autoencoder(file, "tiny", "sd15", torch.float32, encoder=True)
