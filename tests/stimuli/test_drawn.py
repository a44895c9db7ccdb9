"""The drawn pictures show what their attributes say, come out the same everywhere, and never leak between sets."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stimuli.drawn import colour, manifest
from stimuli.drawn.concepts import CONCEPTS
from stimuli.drawn.pen import Paint, Pen, Pose
from stimuli.drawn.picture import TRAINING_SEEDS, DrawnPicture, random_picture
from stimuli.drawn.texture import TEXTURES, paint_texture

PLAIN = DrawnPicture("car", 260.0, 100.0, "smooth", 0.0, 1.0, 7)

# Set anew on purpose only: whoever calibrated with the old pictures has other pictures.
GOLDEN = {
    "cat-0081": "5d7bb3c5f455586b169305d35cd325eb75dda2e9c0be1c970fd29f232e6dafd1",
    "flower-0450": "5ecb0a4f4089426a333d12b0fc2d9b5ffc8801d197271a655ee0ae4920ff513f",
    "windmill-0750": "16ad73b4d969f3f64bfc81d237d324e9d54f7fb82d0e38a7a94019b278593c94",
    "spoon-0999": "fcdf4674100dd8de2c49b41946509f91ef38e5d808747b7b3e4ffeb629c97d81",
    "umbrella-1185": "efda36d8fe2cc643477f01e0266303c2413e27f140445790650acecff734c409",
}

hues = st.floats(-1e4, 1e4)


@pytest.fixture(scope="module")
def rendered():
    """Every fourth calibration picture and what it looks like at 64 pixels: 250 pictures of all concepts."""
    pictures = manifest.calibration_pictures()[::4]
    return pictures, np.stack([picture.render(64) for picture in pictures])


class TestRender:
    @pytest.mark.parametrize("name", GOLDEN)
    def test_same_bytes_as_ever(self, name):
        pictures = {p.name: p for p in (*manifest.calibration_pictures(), *manifest.test_pictures())}
        assert manifest.picture_hash(pictures[name].render(128)) == GOLDEN[name]

    def test_shape_and_type(self):
        image = PLAIN.render()
        assert image.shape == (256, 256, 3)
        assert image.dtype == np.uint8

    @pytest.mark.parametrize("concept", CONCEPTS)
    def test_same_picture_at_every_size(self, concept):
        picture = replace(PLAIN, concept=concept, texture="dotted")
        reduced = np.asarray(Image.fromarray(picture.render(256)).reduce(4), dtype=float)
        assert np.abs(reduced - picture.render(64)).mean() < 8
        other = replace(picture, seed=8).render(64)
        assert np.abs(reduced - other).mean() > 15

    @pytest.mark.parametrize("concept", CONCEPTS)
    def test_large_body_inside_the_picture(self, concept):
        fills = {p: Image.new("RGB", (256, 256), (255 * (p is Paint.BODY),) * 3) for p in Paint}
        areas = []
        for seed in range(8):
            pen = Pen(64, fills, Pose(), np.random.default_rng(seed))
            CONCEPTS[concept].draw(pen)
            areas.append(np.asarray(pen.finish()).mean() / 255)
        assert min(areas) > 0.17
        assert max(areas) < 0.6

    @pytest.mark.parametrize("concept", CONCEPTS)
    def test_shape_varies_and_mirrors(self, concept):
        fills = {p: Image.new("RGB", (256, 256), (31 * k,) * 3) for k, p in enumerate(Paint)}
        images = []
        for seed, mirrored in ((0, False), (1, False), (0, True)):
            pen = Pen(64, fills, Pose(mirrored=mirrored), np.random.default_rng(seed))
            CONCEPTS[concept].draw(pen)
            images.append(np.asarray(pen.finish()).astype(float))
        assert np.abs(images[0] - images[1]).mean() > 0.5
        assert np.abs(images[0][:, ::-1] - images[2]).mean() < 8


class TestAttributes:
    def test_object_hue_is_the_hue_in_the_pixels(self, rendered):
        pictures, images = rendered
        off = [
            float(colour.hue_distance(colour.object_hue(image), picture.hue_deg))
            for picture, image in zip(pictures, images, strict=True)
        ]
        assert np.median(off) < 6
        assert np.percentile(off, 95) < 20

    def test_brightness_is_the_brightness_of_the_pixels(self, rendered):
        pictures, images = rendered
        assert np.corrcoef([p.brightness for p in pictures], images.mean(axis=(1, 2, 3)))[0, 1] > 0.8
        means = [replace(PLAIN, brightness=level).render(64).mean() for level in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        assert np.all(np.diff(means) > 5)

    def test_contrast_widens_the_pixels_range(self):
        spreads = [replace(PLAIN, contrast=level).render(64).std() for level in (0.6, 0.8, 1.0)]
        assert np.all(np.diff(spreads) > 3)

    def test_ground_is_pale_and_has_its_hue(self):
        corner = replace(PLAIN, ground_hue_deg=145.0).render(64)[:2, :2]
        hue, chroma = colour.hue_chroma(corner)
        assert np.all(colour.hue_distance(hue, 145.0) < 10)
        assert chroma.max() < 0.05

    def test_textures_can_be_told_apart(self):
        """Textures differ far more in local structure than one texture does from seed to seed."""

        def structure(texture, seed):
            image = paint_texture(texture, 256, (60, 60, 60), (200, 200, 200), np.random.default_rng(seed))
            grey = np.asarray(image.reduce(4).convert("L"), dtype=float)
            spectrum = np.abs(np.fft.fft2(grey - grey.mean()))[:32] / grey.size
            coarse = np.add.reduceat(np.add.reduceat(spectrum, range(0, 32, 4), 0), range(0, 64, 4), 1).ravel()
            return np.concatenate([coarse / 10, [grey.std()]])

        features = {t: np.stack([structure(t, seed) for seed in range(12)]) for t in TEXTURES}
        centres = {t: f[:6].mean(axis=0) for t, f in features.items()}
        told = [
            min(centres, key=lambda c, f=f: np.linalg.norm(centres[c] - f)) == t
            for t in TEXTURES
            for f in features[t][6:]
        ]
        assert np.mean(told) >= 0.9

    def test_caption_says_it_all(self):
        assert PLAIN.caption == "a drawing of a blue smooth car on a pale yellow ground"
        dark = replace(PLAIN, concept="ice cream", hue_deg=60.0, brightness=-0.9, texture="zigzag")
        assert dark.caption == "a dark drawing of an orange zigzag ice cream on a pale yellow ground"
        assert replace(PLAIN, brightness=0.9).caption.startswith("a bright drawing")

    def test_names(self):
        assert PLAIN.name == "car-0007"
        assert replace(PLAIN, concept="ice cream").name == "ice-cream-0007"
        assert PLAIN.superclass == "vehicles"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"concept": "unicorn"}, "unknown concept 'unicorn': choose one of face,"),
            ({"texture": "furry"}, "unknown texture 'furry': choose one of smooth,"),
            ({"hue_deg": float("nan")}, "hues nan and 100.0: both must be finite"),
            ({"brightness": 1.5}, "brightness 1.5: choose a number from -1"),
            ({"contrast": 0.0}, "contrast 0.0: choose a number from 0.6"),
            ({"seed": -1}, "seed -1: choose a whole number from 0 up"),
        ],
    )
    def test_refuses_what_cannot_be_drawn(self, change, message):
        with pytest.raises(ValueError, match=message):
            replace(PLAIN, **change)

    def test_paint_texture_refuses_unknown_names(self):
        with pytest.raises(ValueError, match="unknown texture 'furry'"):
            paint_texture("furry", 64, (0, 0, 0), (9, 9, 9), np.random.default_rng(0))


class TestColour:
    @given(hues, hues)
    def test_distance_is_a_distance(self, first, second):
        distance = float(colour.hue_distance(first, second))
        assert 0 <= distance <= 180
        assert distance == pytest.approx(float(colour.hue_distance(second, first)), abs=1e-6)
        assert float(colour.hue_distance(first, first + 360)) == pytest.approx(0, abs=1e-6)

    @given(st.floats(0, 360), st.floats(0.45, 0.8))
    def test_rgb_and_back(self, hue_deg, lightness):
        image = np.full((2, 2, 3), colour.rgb(lightness, 0.1, hue_deg), dtype=np.uint8)
        hue, chroma = colour.hue_chroma(image)
        assert np.all(colour.hue_distance(hue, hue_deg) < 4)
        assert np.all(chroma <= 0.11)
        assert float(colour.hue_distance(colour.object_hue(image), hue_deg)) < 4

    @given(hues)
    def test_name_is_the_nearest_name(self, hue_deg):
        name = colour.hue_name(hue_deg)
        nearest = min(float(colour.hue_distance(centre, hue_deg)) for centre in colour.HUE_NAMES.values())
        assert float(colour.hue_distance(colour.HUE_NAMES[name], hue_deg)) == nearest

    def test_equal_lightness_at_every_hue(self):
        greys = [colour.rgb(0.66, 0.1, hue) @ np.array([0.2126, 0.7152, 0.0722]) for hue in range(0, 360, 10)]
        assert np.ptp(greys) < 30


class TestManifest:
    def test_forty_concepts_in_seven_groups(self):
        assert len(CONCEPTS) == 40
        assert len({concept.superclass for concept in CONCEPTS.values()}) == 7

    def test_counts_and_names(self):
        calibration, test = manifest.calibration_pictures(), manifest.test_pictures()
        assert (len(calibration), len(test)) == (1000, 200)
        for pictures, each in ((calibration, 25), (test, 5)):
            shown = [picture.concept for picture in pictures]
            assert all(shown.count(concept) == each for concept in CONCEPTS)
        assert len({picture.name for picture in (*calibration, *test)}) == 1200

    def test_seeds_never_meet(self):
        ranges = (manifest.CALIBRATION_SEEDS, manifest.TEST_SEEDS, TRAINING_SEEDS)
        for first, second in combinations(ranges, 2):
            assert first.stop <= second.start or second.stop <= first.start
        for pictures, seeds in (
            (manifest.calibration_pictures(), manifest.CALIBRATION_SEEDS),
            (manifest.test_pictures(), manifest.TEST_SEEDS),
            ([manifest.training_picture(i) for i in (0, 1, 10**6, len(TRAINING_SEEDS) - 1)], TRAINING_SEEDS),
        ):
            assert all(picture.seed in seeds for picture in pictures)
            assert len({picture.seed for picture in pictures}) == len(pictures)

    @given(st.integers(0, 2**32))
    def test_random_pictures_are_training_pictures(self, seed):
        assert random_picture(np.random.default_rng(seed)).seed in TRAINING_SEEDS

    def test_attributes_are_balanced_and_independent(self):
        pictures = manifest.calibration_pictures()
        for concept in CONCEPTS:
            own = [picture for picture in pictures if picture.concept == concept]
            assert sorted(int(picture.hue_deg // 14.4) for picture in own) == list(range(25))
            counts = [sum(picture.texture == texture for picture in own) for texture in TEXTURES]
            assert sorted(counts) == [4, 4, 4, 4, 4, 5]
        columns = [[p.brightness for p in pictures], [p.contrast for p in pictures]]
        for angle in ([p.hue_deg for p in pictures], [p.ground_hue_deg for p in pictures]):
            columns += [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
        columns += [[picture.texture == texture for picture in pictures] for texture in TEXTURES[1:]]
        correlation = np.corrcoef(np.asarray(columns, dtype=float))
        # Textures exclude each other, so among themselves they correlate by -1/5.
        correlation[6:, 6:] = 0
        assert np.abs(correlation - np.diag(np.diag(correlation))).max() < 0.12

    def test_test_pictures_cover_hues_and_textures(self):
        pictures = manifest.test_pictures()
        for concept in CONCEPTS:
            own = [picture for picture in pictures if picture.concept == concept]
            assert sorted(int(picture.hue_deg // 72) for picture in own) == list(range(5))
            assert len({picture.texture for picture in own}) == 5

    def test_training_stream(self):
        stream = [manifest.training_picture(index) for index in range(400, 440)]
        assert {picture.concept for picture in stream} == set(CONCEPTS)
        assert stream[3] == manifest.training_picture(403)
        hue = [manifest.training_picture(index).hue_deg for index in range(400)]
        assert np.ptp(np.histogram(hue, 8, (0, 360))[0]) < 45

    @pytest.mark.parametrize("index", [-1, 2**31])
    def test_training_stream_has_ends(self, index):
        with pytest.raises(IndexError, match=f"training picture {index} does not exist: choose an index from 0"):
            manifest.training_picture(index)

    def test_picture_hash(self):
        image = PLAIN.render(64)
        assert manifest.picture_hash(image) == manifest.picture_hash(image.copy())
        changed = image.copy()
        changed[5, 5, 1] ^= 1
        hashes = {manifest.picture_hash(i) for i in (image, changed, image.reshape(32, 128, 3))}
        assert len(hashes) == 3
        assert all(len(value) == 64 for value in hashes)
        with pytest.raises(TypeError, match="image has dtype float64: convert it to uint8"):
            manifest.picture_hash(image.astype(float))


@pytest.mark.parametrize("index", [0, 17, 39])
def test_a_variation_changes_details_alone(index):
    picture = manifest.training_picture(index)
    own, first, again = picture.render(64), picture.render(64, variation=0), picture.render(64, variation=0)
    np.testing.assert_array_equal(first, again)
    assert (own != first).any()
    np.testing.assert_array_equal(own[0, 0], first[0, 0])
    assert np.corrcoef(own.ravel(), first.ravel())[0, 1] > 0.3


def test_pose_says_where_the_object_lies():
    pictures = [manifest.training_picture(i) for i in range(200)]
    shifted = [np.mean(p.pose.shift, axis=0) for p in pictures]
    assert -0.1 <= min(shifted) < max(shifted) <= 0.1
    assert {p.pose.mirrored for p in pictures} == {False, True}
    assert {p.light_marks for p in pictures} == {False, True}
    for apple in (p for p in pictures if p.concept == "apple" and abs(p.pose.shift[0]) > 0.05):
        image = apple.render(64).astype(float)
        columns = np.argwhere(np.abs(image - image[0, 0]).sum(2) > 30)[:, 1]
        assert (columns.min() + columns.max() > 63) == (apple.pose.shift[0] > 0)
