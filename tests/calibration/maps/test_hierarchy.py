import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from calibration.maps.hierarchy import (
    Space,
    bin_times,
    coarse_pixels,
    decoding_over_time,
    onset_of,
    picture_spaces,
    similarity_over_time,
    texture_bands,
)
from calibration.maps.readout import Units
from calibration.model.whitening import noise_covariance, whitening_matrix
from configs.schema import PictureSettings
from stimuli.pictures import open_pictures
from tests.support.simulated_epochs import TIMES_S, latency_s, make_examples, one_hot, units_of


def units_from(samples):
    n = len(samples)
    return Units(samples, np.arange(n).astype(str), np.arange(n) % 5, np.zeros(n, np.int64), n)


@pytest.fixture(scope="module")
def simulated():
    units = units_of(make_examples(n_pictures=120, snr=2.0))
    pictures = open_pictures(PictureSettings(), "calibration")
    known = [pictures.attributes(str(name)) for name in units.names]
    hue = np.deg2rad([each["hue_deg"] for each in known])
    lot = np.random.default_rng(2).standard_normal((len(units), 12))
    colour = Space("colour", "hue", np.stack([np.cos(hue), np.sin(hue)], axis=1))
    return units, [colour, Space("class", "superclass", one_hot(known, "superclass")), Space("lot", "drawn", lot)]


def test_each_space_peaks_when_its_attribute_was_simulated(simulated):
    units, spaces = simulated
    colour, kind, lot = decoding_over_time(units, TIMES_S, spaces, permutations=100)
    assert colour.peak_s == pytest.approx(latency_s("hue"), abs=0.02)
    assert kind.peak_s == pytest.approx(latency_s("superclass"), abs=0.02)
    assert colour.onset_s < kind.onset_s
    assert colour.onset_interval_s[0] <= colour.onset_s <= colour.onset_interval_s[1]
    assert colour.values[0] < colour.threshold
    assert lot.peak_s is None
    assert lot.onset_s is None
    assert (lot.p > 0.05).all()


def test_similarity_tells_the_same_order_and_nothing_of_what_was_not_simulated(simulated):
    units, spaces = simulated
    found = similarity_over_time(units, TIMES_S, spaces, permutations=100)
    for colour, kind, lot in found.values():
        assert colour.peak_s == pytest.approx(latency_s("hue"), abs=0.025)
        assert colour.peak_s < kind.peak_s
        assert lot.onset_s is None


def test_unique_similarity_takes_out_what_another_space_tells():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((60, 6))
    samples = (truth @ rng.standard_normal((6, 10)))[:, None, :] + 0.3 * rng.standard_normal((60, 4, 10))
    copy = truth + 0.5 * rng.standard_normal(truth.shape)
    spaces = [Space("truth", "", truth), Space("copy", "", copy)]
    found = similarity_over_time(units_from(samples), np.arange(4) * 0.02, spaces, permutations=20)
    whole, unique = (found[kind][1].values.mean() for kind in ("whole", "unique"))
    assert whole > 0.3
    assert abs(unique) < 0.25 * whole


def test_similarity_agrees_with_scipy():
    rng = np.random.default_rng(0)
    samples, features = rng.standard_normal((20, 3, 5)), rng.standard_normal((20, 4))
    space = Space("x", "", features)
    (course,) = similarity_over_time(units_from(samples), np.arange(3) * 0.02, [space], permutations=5)["whole"]
    white = samples @ whitening_matrix(noise_covariance(samples))
    model = pdist((features - features.mean(axis=0)) / features.std(axis=0), "correlation")
    expected = [spearmanr(pdist(white[:, k], "correlation"), model).statistic for k in range(3)]
    np.testing.assert_allclose(course.values, expected, atol=1e-9)


def test_classes_have_no_similarity():
    names = np.array(["face", "house"] * 20)
    units = Units(np.zeros((40, 4, 3)), names, np.arange(40) % 4, np.arange(40) % 4, 40)
    assert similarity_over_time(units, np.arange(4) * 0.02, [Space("x", "", np.ones((40, 2)))]) is None


def test_an_onset_needs_a_run():
    assert onset_of(np.array([0.0, 2.0, 0.0, 2.0, 2.0, 0.0]), 1.0) == 3
    assert onset_of(np.array([0.0, 2.0, 0.0, 2.0]), 1.0) is None
    np.testing.assert_allclose(bin_times(np.arange(9) * 0.01, 0.04), [0.015, 0.055])


def test_texture_is_the_same_wherever_it_lies_and_pixels_are_not():
    x = np.arange(64)
    stripes = np.tile(127 + 100 * np.sin(2 * np.pi * 12 * x / 64), (64, 1))
    striped, shifted = (
        np.repeat(each[..., None], 3, axis=2).astype(np.uint8) for each in (stripes, np.roll(stripes, 3, 1))
    )
    turned = striped.transpose(1, 0, 2)
    np.testing.assert_allclose(texture_bands(striped), texture_bands(shifted), atol=0.6)
    assert np.abs(texture_bands(striped) - texture_bands(turned)).max() > 2
    half = np.zeros((64, 64, 3), np.uint8)
    half[:, :32] = 255
    pixels = coarse_pixels(half).reshape(8, 8, 3)
    assert pixels[:, :4].min() == 1
    assert pixels[:, 4:].max() == 0
    for space in picture_spaces([striped, shifted, turned, half], np.eye(4)):
        assert len(space.design()) == 4
        assert space.design().shape[1] <= 3
