"""The encoder names what is drawn, and is loaded and cached like any other."""

import numpy as np
import pytest

from calibration.embeddings import DRAWN_MODEL, DRAWN_WEIGHTS, Encoder, EncoderError, load_encoder
from realtime.bundle import EmbeddingSpace
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.manifest import test_pictures as pictures_of_the_test_set


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
