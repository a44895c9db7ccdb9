"""The encoder names what is drawn, and is loaded and cached like any other."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from calibration.data import embeddings
from calibration.data.embeddings import DRAWN_MODEL, DRAWN_WEIGHTS, Encoder, EncoderError, load_encoder
from calibration.data.image_tower import FILES
from calibration.data.targets import make_targets
from configs.schema import Config, PictureSettings, RenderSettings
from configs.torchvision_shim import load_torchvision
from realtime.rendering.errors import GeneratorError
from realtime.rendering.generators.base import check_space
from realtime.rendering.generators.make import make_generator
from realtime.spaces import EmbeddingSpace
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import recipe_hash
from stimuli.drawn.manifest import test_pictures as pictures_of_the_test_set
from stimuli.drawn.picture import DrawnPicture
from stimuli.pictures import open_pictures


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [picture.render(128) for picture in pictures_of_the_test_set()[::5]]


def test_names_one_picture_of_every_concept(encoder, images):
    names = list(CONCEPTS)
    prompts = encoder.embed_texts([f"a drawing of a {name}" for name in names])
    shown = encoder.embed_images(images)
    score = shown @ (prompts / np.linalg.norm(prompts, axis=1, keepdims=True)).T
    truth = [names.index(picture.concept) for picture in pictures_of_the_test_set()[::5]]
    assert np.mean(score.argmax(1) == truth) >= 0.9


def test_embeddings_are_projected_and_not_normalised(encoder, images):
    embedded = encoder.embed_images(images[:8])
    assert encoder.space == EmbeddingSpace(DRAWN_MODEL, "builtin", 256, normalised=False)
    assert embedded.shape == (8, 256)
    assert embedded.dtype == np.float32
    assert np.ptp(np.linalg.norm(embedded, axis=1)) > 0.01


def test_batches_do_not_change_embeddings(encoder, images):
    np.testing.assert_allclose(
        encoder.embed_images(images[:7], batch=3), encoder.embed_images(images[:7]), rtol=1e-4, atol=1e-4
    )


def test_nothing_embeds_to_nothing(encoder):
    assert encoder.embed_images([]).shape == (0, 256)
    assert encoder.embed_texts([]).shape == (0, 256)


def test_cache_recomputes_only_new_pictures(encoder, images, tmp_path, monkeypatch):
    first = encoder.embed_images_cached(images[:3], tmp_path)
    asked = []
    embed = Encoder.embed_images
    monkeypatch.setattr(
        Encoder, "embed_images", lambda self, new, batch=64: asked.append(len(new)) or embed(self, new, batch)
    )
    again = encoder.embed_images_cached([images[2], images[3], images[0]], tmp_path)
    assert asked == [1]
    np.testing.assert_array_equal(again[[2, 0]], first[[0, 2]])


def test_what_was_embedded_before_needs_no_network(images, tmp_path, monkeypatch):
    first = load_encoder().embed_images_cached(images[:3], tmp_path)
    monkeypatch.setattr(embeddings, "_open", lambda *_, **__: pytest.fail("seconds for nothing"))
    again = load_encoder()
    np.testing.assert_array_equal(again.embed_images_cached(images[:3], tmp_path), first)
    assert again.space == EmbeddingSpace(DRAWN_MODEL, "builtin", 256, normalised=False)


def test_drawn_pictures_that_were_embedded_before_are_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    names = np.array(open_pictures(PictureSettings(), "calibration").names[:2])
    config, drawn, render = Config(), [], DrawnPicture.render
    monkeypatch.setattr(DrawnPicture, "render", lambda self, size=64: drawn.append(self) or render(self, size))
    first = make_targets(config, names)
    assert len(drawn) == len(first.gallery.names)
    drawn.clear()
    np.testing.assert_array_equal(make_targets(config, names).gallery.embeddings, first.gallery.embeddings)
    assert not drawn
    pictures = open_pictures(PictureSettings())
    plain = load_encoder().embed_images([pictures.image(name) for name in first.gallery.names[:3]])
    np.testing.assert_allclose(first.gallery.embeddings[:3], plain, rtol=1e-4, atol=1e-4)


def test_what_a_picture_is_drawn_from_tells_it_from_every_other(monkeypatch):
    shown = pictures_of_the_test_set()
    assert len({recipe_hash(picture) for picture in shown}) == len(shown)
    before = recipe_hash(shown[0])
    assert recipe_hash(replace(shown[0], brightness=0.123)) != before
    monkeypatch.setattr("stimuli.drawn.manifest._pens", lambda: "other code")
    assert recipe_hash(shown[0]) != before


def test_broken_cache_is_refused_by_name(encoder, images, tmp_path):
    encoder.embed_images_cached(images[:1], tmp_path)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(EncoderError, match="delete it"):
        encoder.embed_images_cached(images[:1], tmp_path)


def test_local_weight_file_gives_the_same_embeddings_under_its_own_name(encoder, images):
    local = load_encoder(DRAWN_MODEL, str(DRAWN_WEIGHTS))
    np.testing.assert_array_equal(local.embed_images(images[:2]), encoder.embed_images(images[:2]))
    assert local.space.pretrained == str(DRAWN_WEIGHTS)


@pytest.mark.parametrize(
    ("model", "pretrained", "says"),
    [
        ("ViT-nonsense", "x", "unknown encoder model 'ViT-nonsense'"),
        ("ViT-H-14", "no-such-tag", "laion2b_s32b_b79k"),
        (DRAWN_MODEL, "no-such-file", "'builtin'"),
    ],
)
def test_unknown_encoders_are_refused_in_one_line(model, pretrained, says):
    with pytest.raises(EncoderError, match=says) as caught:
        load_encoder(model, pretrained)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_refused_in_one_line(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(EncoderError, match="could not be loaded") as caught:
        load_encoder(DRAWN_MODEL, str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image", [np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8)])
def test_what_is_not_an_rgb_picture_is_refused(encoder, image):
    with pytest.raises(ValueError, match="uint8"):
        encoder.embed_images([image])


def test_weights_stay_small():
    assert DRAWN_WEIGHTS.stat().st_size <= 12e6


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(encoder, images, tmp_path, caplog):
    expected = encoder.embed_images(images[:2])
    (tmp_path / "taken").write_text("a file where the folder should be")
    np.testing.assert_array_equal(encoder.embed_images_cached(images[:2], tmp_path / "taken"), expected)
    assert "cannot keep embeddings in" in caplog.text


@pytest.fixture
def published(tmp_path):
    """A narrow ViT-H-14 and ViT-L-14, and a file of weights of each under open_clip's names."""
    load_torchvision()
    import open_clip
    import torch
    from safetensors.torch import save_file

    def write(model, dims, suffix=".safetensors"):
        config = {
            "embed_dim": dims,
            "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
            "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
        }
        configurations = tmp_path / "configurations"
        configurations.mkdir()
        (configurations / f"{model}.json").write_text(json.dumps(config))
        open_clip.add_model_config(configurations)
        torch.manual_seed(1)
        weights = open_clip.create_model(model).state_dict()
        file = tmp_path / f"open_clip_model{suffix}"
        torch.save(weights, file) if suffix == ".bin" else save_file(weights, file)
        return file

    yield write
    open_clip.factory._MODEL_CONFIG_PATHS.remove(tmp_path / "configurations")
    open_clip.factory._rescan_model_configs()


PUBLISHED_TOWERS = [("ViT-H-14", "laion2b_s32b_b79k", 1024), ("ViT-bigG-14", "laion2b_s39b_b160k", 1280)]


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("generator", ["sdxl-turbo", "unclip"])
def test_local_copy_of_published_weights_is_the_space_that_generators_know(published, images, generator, suffix):
    file = published("ViT-H-14", 1024, suffix)
    copied = load_encoder("ViT-H-14", "laion2b_s32b_b79k", file)
    check_space(copied.space, make_generator(RenderSettings(generator=generator)).space)
    named_by_itself = load_encoder("ViT-H-14", str(file))
    np.testing.assert_array_equal(copied.embed_images(images[:2]), named_by_itself.embed_images(images[:2]))
    told = r"if that file is a copy of laion2b_s32b_b79k, fit again with .* and fit\.encoder_weights: .*open_clip_model"
    with pytest.raises(GeneratorError, match=told):
        check_space(named_by_itself.space, make_generator(RenderSettings(generator=generator)).space)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # in transformers
@pytest.mark.parametrize("form", ["model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "a file"])
@pytest.mark.parametrize(("model", "pretrained", "dims"), PUBLISHED_TOWERS)
def test_image_encoder_folder_embeds_as_transformers_does(published, tmp_path, model, pretrained, dims, form):
    """The folders beside IP-Adapter and Kandinsky's prior; half precision is what some are published in."""
    import torch
    import transformers
    from safetensors.torch import save_file

    published(model, dims)  # for its narrow configuration
    torch.manual_seed(2)
    config = transformers.CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=32,
        patch_size=16,
        projection_dim=dims,
        hidden_act="gelu",
    )
    stock = transformers.CLIPVisionModelWithProjection(config).eval()
    if "fp16" in form:
        stock.half().float()
    tensors = {
        name if name.startswith(("vision_model.", "visual_projection.")) else f"vision_model.{name}": tensor
        for name, tensor in stock.state_dict().items()
    } | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}
    folder = tmp_path / "image_encoder"
    folder.mkdir()
    file = folder / (form if form in FILES else "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors")
    if "fp16" in form:
        tensors = {name: t.half() if t.is_floating_point() else t for name, t in tensors.items()}
    torch.save(tensors, file) if file.suffix == ".bin" else save_file(tensors, file)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    with torch.inference_mode():
        expected = stock(processor(list(pictures), return_tensors="pt").pixel_values).image_embeds.numpy()
    ours = load_encoder(model, pretrained, folder if form in FILES else file)
    assert np.abs(ours.embed_images(list(pictures)) - expected).max() <= 1e-4 * np.abs(expected).max()
    with pytest.raises(EncoderError, match="image encoder alone"):
        ours.embed_texts(["a word"])


def test_pictures_are_prepared_as_for_the_published_weights(published):
    """ViT-L-14 of LAION was trained on other means than OpenAI's, which a file alone would be given."""
    import open_clip

    file = published("ViT-L-14", 768)
    expected = open_clip.get_pretrained_cfg("ViT-L-14", "laion2b_s32b_b82k")
    copied = load_encoder("ViT-L-14", "laion2b_s32b_b82k", file)
    assert tuple(copied._network.transform.transforms[-1].mean) == tuple(expected["mean"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("model", "pretrained", "exists", "complaint"),
    [
        ("ViT-H-14", "laion2b_s32b_b79k", False, "fit.encoder_weights: there is no file"),
        ("ViT-H-14", "builtin", True, "set fit.pretrained to one of .*'laion2b_s32b_b79k'"),
        (DRAWN_MODEL, "builtin", True, "one of none, because 'perceptogram-drawn' has no published ones"),
        (
            "ViT-H-14",
            "laion2b_s32b_b79k",
            True,
            "weights '.*x.safetensors' could not be loaded into encoder 'ViT-H-14'",
        ),
    ],
)
def test_local_copy_that_cannot_be_one_is_refused(published, tmp_path, model, pretrained, exists, complaint):
    published("ViT-H-14", 1024)
    file = tmp_path / "x.safetensors"
    if exists:
        file.write_bytes(b"<!doctype html>")
    with pytest.raises(EncoderError, match=complaint):
        load_encoder(model, pretrained, file)


def test_weights_that_are_not_here_are_fetched_only_when_that_is_asked_for(monkeypatch):
    import huggingface_hub
    import open_clip

    asked = []
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(open_clip, "create_model_and_transforms", lambda *args, **_: asked.append(args) or 1 / 0)
    with pytest.raises(EncoderError, match=r"not on this machine: set fit\.download: true"):
        load_encoder("ViT-H-14", "laion2b_s32b_b79k")
    assert not asked
    with pytest.raises(EncoderError, match="could not be loaded"):
        load_encoder("ViT-H-14", "laion2b_s32b_b79k", download=True)
    assert asked


def test_photographs_under_the_drawn_encoder_are_warned_of(tmp_path, caplog):
    for number in range(3):
        (tmp_path / f"thing-{number}").mkdir()
        Image.new("RGB", (64, 64), (80 * number, 0, 0)).save(tmp_path / f"thing-{number}" / "a.png")
    own = Config(pictures=PictureSettings(set="folder", folder=tmp_path))
    for config in (own, Config()):
        caplog.clear()
        make_targets(config, np.array(open_pictures(config.pictures, "all").names[:1]))
        assert ("knows drawn pictures only" in caplog.text) == (config is own)
