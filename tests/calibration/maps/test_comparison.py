import numpy as np
import pytest

from calibration.maps.attributes import Attribute
from calibration.maps.cluster_test import cluster_test
from calibration.maps.comparison import compare
from calibration.maps.readout import Units

N_CONCEPTS, EACH = 24, 6
N = N_CONCEPTS * EACH
NAMES = np.array([f"p{k:03d}" for k in range(N)])
CONCEPTS = np.array([f"c{k % N_CONCEPTS:02d}" for k in range(N)])
NEIGHBOURS = np.ones((3, 3), np.bool_)


def units_of(samples):
    return Units(samples, NAMES, np.arange(N) % 4, np.zeros(N, np.int64), N)


def number(name, values):
    return Attribute(name, "continuous", values, tuple(NAMES), ("low", "high"))


def category(name, values, levels="ab"):
    return Attribute(name, "categorical", values, tuple(NAMES), tuple(levels))


def eeg_of_concepts(rng, size=3.0):
    """Every concept evokes something of its own, whatever is measured of its pictures."""
    evoked = size * rng.standard_normal((N_CONCEPTS, 5, 3))
    return evoked[np.arange(N) % N_CONCEPTS] + rng.standard_normal((N, 5, 3))


def p_of(samples, attribute, others=(), concepts=CONCEPTS, seed=0):
    regression = compare(units_of(samples), attribute, others, concepts).regression(samples)
    return cluster_test(regression, NEIGHBOURS, 60, seed).p


def test_what_varies_within_concepts_is_compared_there():
    rng = np.random.default_rng(0)
    samples, own = eeg_of_concepts(rng), rng.standard_normal(N)
    samples += 0.8 * own[:, None, None]
    found = compare(units_of(samples), number("own", own), [], CONCEPTS)
    assert found.what == "pictures of the same concept"
    regression = found.regression(samples)
    np.testing.assert_allclose(regression.slopes()[0], 0.8 * own.std(), atol=0.3)
    assert regression.freedom == N - N_CONCEPTS - 1


def test_what_belongs_to_the_concept_is_compared_between_concepts():
    rng = np.random.default_rng(1)
    samples = eeg_of_concepts(rng, 0.5)
    kind = np.arange(N) % N_CONCEPTS % 2
    samples[kind == 1] += 2
    found = compare(units_of(samples), category("kind", kind), [], CONCEPTS)
    assert found.what == "24 concepts"
    regression = found.regression(samples)
    assert regression.name == "t(22)"
    assert cluster_test(regression, NEIGHBOURS, 60).p == pytest.approx(1 / 60)


def test_between_concepts_other_attributes_are_taken_out():
    """The kinds differ in nothing but a brightness that goes along with them."""
    rng = np.random.default_rng(2)
    kind = np.arange(N) % N_CONCEPTS % 2
    bright = rng.standard_normal(N) + 2 * kind
    samples = rng.standard_normal((N, 5, 3)) + 3 * bright[:, None, None]
    assert p_of(samples, category("kind", kind)) <= 0.02
    assert p_of(samples, category("kind", kind), [number("bright", bright)]) > 0.05


@pytest.mark.parametrize("whole", [False, True])
def test_without_an_effect_p_is_small_as_often_as_it_says(whole):
    """Of 100, 1 to 10 are at most 0.05 (binomial, 97 %). Single pictures in place of concepts find far more."""
    small = alone = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 7])
        samples = eeg_of_concepts(rng)
        lot = rng.permutation(N_CONCEPTS)[np.arange(N) % N_CONCEPTS] % 2 if whole else rng.permutation(N) % 2
        small += p_of(samples, category("lot", lot), seed=seed) <= 0.05
        if whole and seed < 40:
            alone += p_of(samples, category("lot", lot), concepts=None, seed=seed) <= 0.05
    assert 1 <= small <= 10
    if whole:
        assert alone > 20


@pytest.mark.parametrize(
    ("concepts", "why"),
    [
        (None, "nobody knows them"),
        (NAMES, "each picture is a concept of its own"),
        (np.full(N, "thing"), "there is one"),
        (np.repeat(["a", "b"], N // 2), "the attribute is the concept"),
    ],
)
def test_pictures_stand_for_themselves_where_there_is_nothing_else(concepts, why):
    samples = np.random.default_rng(3).standard_normal((N, 5, 3))
    kind = np.repeat([0, 1], N // 2)
    assert compare(units_of(samples), category("kind", kind), [], concepts).what == "pictures", why


def test_the_share_explained_is_of_what_was_held_out():
    rng = np.random.default_rng(4)
    own = rng.standard_normal(N)
    samples = rng.standard_normal((N, 5, 3))
    samples[:, 2, 1] += 2 * own
    found = compare(units_of(samples), number("own", own), [], CONCEPTS)
    assert found.share_explained(samples, 2, 1) == pytest.approx(0.8, abs=0.08)
    assert found.share_explained(samples, 2, 0) < 0.05
