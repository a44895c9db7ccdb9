import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import silhouette_score

from calibration.maps.attributes import (
    Attribute,
    attribute_of_column,
    measure_attributes,
    shown_attributes,
    silhouette,
    texture_energy,
    ward_clusters,
)
from configs.errors import InputError
from configs.schema import Config, PictureSettings
from stimuli.pictures import choose_pictures, open_pictures

PICTURES = tuple(f"p{k}" for k in range(24))


class InMemory:
    """Pictures as arrays, with their labels and what else is told of them."""

    def __init__(self, images, labels, told=None):
        self.images, self.labels, self.told = images, labels, told or [{} for _ in images]
        self.names = PICTURES[: len(images)]

    def image(self, name, size=None):
        image = self.images[self.names.index(name)]
        assert size in (None, len(image))
        return image

    def label(self, name):
        return self.labels[self.names.index(name)]

    def attributes(self, name):
        return self.told[self.names.index(name)]

    def hash(self, name):
        return name


def gratings(cycles):
    """Grey pictures of 64 pixels, each with so many cycles."""
    phase = 2 * np.pi * np.arange(64) / 64
    waves = [(128 + 60 * np.sin(each * phase)).astype(np.uint8) for each in cycles]
    return [np.tile(wave[:, None, None], (1, 64, 3)) for wave in waves]


@pytest.fixture(scope="module")
def drawn():
    pictures = open_pictures(PictureSettings(), "calibration")
    names = choose_pictures(pictures, 120, seed=1)
    return pictures, names, {each.name: each for each in measure_attributes(pictures, names)}


def test_what_is_measured_is_what_was_drawn(drawn):
    pictures, names, found = drawn
    known = [pictures.attributes(name) for name in names]
    assert list(found)[:5] == ["class", "hue", "texture", "brightness", "contrast"]
    away = (found["hue"].of(names) - [each["hue_deg"] for each in known] + 180) % 360 - 180
    assert np.median(np.abs(away)) < 20
    superclass = np.array(found["class"].levels)[found["class"].of(names)]
    assert superclass.tolist() == [each["superclass"] for each in known]
    smooth = np.array([each["texture"] == "smooth" for each in known])
    assert np.median(found["texture"].of(names)[~smooth]) > np.median(found["texture"].of(names)[smooth])


def test_brightness_and_contrast_are_those_of_the_pixels():
    levels = np.linspace(20, 235, 24)
    images = [np.full((64, 64, 3), level, np.uint8) for level in levels]
    for spread, image in enumerate(images):
        image[:32] -= np.uint8(spread % 5)
    found = {each.name: each for each in measure_attributes(InMemory(images, ["thing"] * 24), PICTURES)}
    grey = np.array([image.mean() / 255 for image in images])
    np.testing.assert_allclose(found["brightness"].of(PICTURES), grey, atol=1e-3)
    np.testing.assert_allclose(found["contrast"].of(PICTURES), [image.std() / 255 for image in images], atol=1e-3)
    assert "class" not in found, "one label is no class"


def test_texture_is_fine_structure_and_not_shading():
    shading, fine, finer = map(texture_energy, gratings([1, 12, 24]))
    assert fine > shading + 1
    assert finer > shading + 1
    assert texture_energy(np.full((64, 64, 3), 99, np.uint8)) < shading


@given(st.integers(0, 500), st.integers(2, 6))
def test_the_silhouette_is_scikit_learns(seed, count):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((30, 4))
    clusters = np.concatenate([np.arange(count), rng.integers(0, count, 30 - count)])
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    assert silhouette(distances, clusters) == pytest.approx(silhouette_score(points, clusters), abs=1e-9)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_clusters_are_wards_and_their_number_has_the_best_silhouette(count):
    rng = np.random.default_rng(count)
    sizes = np.arange(count, 0, -1) * 8
    centres = 10 * rng.standard_normal((count, 6))
    true = np.repeat(np.arange(count), sizes)
    order = rng.permutation(len(true))
    points = (centres[true] + rng.standard_normal((len(true), 6)))[order]
    found = ward_clusters(points)
    np.testing.assert_array_equal(found, true[order], "numbered from the largest")
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    ward = fcluster(linkage(scaled, "ward"), count, "maxclust")
    assert len(set(zip(found.tolist(), ward.tolist(), strict=True))) == count


def test_too_few_pictures_for_clusters_are_said():
    with pytest.raises(InputError, match="9 pictures do not fall into clusters of at least 5"):
        ward_clusters(np.random.default_rng(0).standard_normal((9, 3)))


def test_concepts_are_clustered_on_their_grey_pictures():
    """Twelve concepts of two kinds in any colour: the embedding sees grey alone, and a concept stays whole."""
    rng = np.random.default_rng(0)
    images = gratings([3] * 12 + [20] * 12)
    for image in images:
        image[..., rng.integers(3)] //= 2
    labels = [f"thing {k // 2}" for k in range(24)]
    seen = []

    def embed(grey):
        seen.extend(grey)
        energy = np.array([texture_energy(image) for image in grey])
        return energy[:, None] + 0.01 * rng.standard_normal((len(grey), 3))

    (found, *_) = measure_attributes(InMemory(images, labels), PICTURES, embed)
    assert all((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all() for image in seen)
    values = found.of(PICTURES)
    assert len(np.unique(values[:12])) == len(np.unique(values[12:])) == 1
    assert values[0] != values[-1]
    assert found.levels[0].startswith("cluster 1 (thing")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["a", "b"] * 12, "categorical"),
        ([1, 2.5, 3] * 8, "continuous"),
        (["1", "2"] * 12, "continuous"),
        (["a", None] * 12, None),
        (["a", ""] * 12, None),
        (["a"] * 20 + ["b"] * 4, None),
        (list(range(20)) + ["x"] * 4, None),
        ([7] * 24, None),
        ([1, float("nan")] * 12, None),
    ],
)
def test_which_columns_of_a_manifest_can_serve(cells, kind):
    found = attribute_of_column("size", PICTURES, cells)
    assert (found and found.kind) == kind


def test_degrees_go_round():
    found = attribute_of_column("tilt_deg", PICTURES, [370.0, 10.0, 180.0, -10.0] * 6)
    assert (found.name, found.kind) == ("tilt", "circular")
    np.testing.assert_array_equal(found.of(PICTURES[:4]), [10, 10, 180, 350])
    cosine, sine = found.design(PICTURES).T
    assert cosine[0] == cosine[1]
    assert sine[3] < 0 < sine[0]


@given(st.integers(0, 99))
def test_designs_are_centred_and_numbers_have_a_deviation_of_one(seed):
    rng = np.random.default_rng(seed)
    names = rng.choice(PICTURES, 60)
    for found in (
        Attribute("class", "categorical", np.arange(24) % 3, PICTURES, ("a", "b", "c")),
        Attribute("size", "continuous", rng.standard_normal(24) * 5 + 2, PICTURES, ("low", "high")),
        Attribute("hue", "circular", rng.uniform(0, 360, 24), PICTURES, ("r", "g", "b", "y")),
    ):
        design = found.design(names)
        np.testing.assert_allclose(design.mean(axis=0), 0, atol=1e-9)
        if found.kind == "continuous":
            assert design.std() == pytest.approx(1)


def test_columns_that_were_asked_for_come_or_are_refused():
    told = [{"size": k, "mood": "ab"[k % 2], "lost": None} for k in range(24)]
    pictures = InMemory(gratings(np.arange(24) % 7 + 1), ["thing"] * 24, told)
    everything = [each.name for each in measure_attributes(pictures, PICTURES)]
    assert {"size", "mood"} <= set(everything)
    some = [each.name for each in measure_attributes(pictures, PICTURES, columns=["mood"])]
    assert "mood" in some
    assert "size" not in some
    with pytest.raises(InputError, match="column 'lost' cannot serve"):
        measure_attributes(pictures, PICTURES, columns=["lost"])


def test_a_picture_that_was_not_measured_is_said():
    found = Attribute("size", "continuous", np.arange(24.0), PICTURES, ("low", "high"))
    with pytest.raises(InputError, match="'size' is not known of picture 'cat-1'"):
        found.of(["p1", "cat-1"])


def test_where_markers_tell_a_class_that_is_all():
    config = Config.model_validate({"markers": {"classes": {"1": "face", "2": "house"}}})
    (found,) = shown_attributes(config, ["house", "face"])
    assert (found.name, found.levels) == ("class", ("face", "house"))
    np.testing.assert_array_equal(found.of(["house", "face", "house"]), [1, 0, 1])
