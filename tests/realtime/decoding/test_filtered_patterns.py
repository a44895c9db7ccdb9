from dataclasses import replace

import numpy as np
import pytest

from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from realtime.display.layout import DisplayState, draw
from realtime.electrodes import scalp_image

CHANNELS = ("O1", "Oz", "O2", "Fz")
ATTRIBUTES = (
    PatternAttribute("class", "categorical", ("animals", "food", "tools"), 3, 0.18, 4.0, 0.4, 0.005),
    PatternAttribute("hue", "circular", ("red", "yellow", "cyan", "blue"), 2, 0.12, 2.0, 0.3, 0.01),
    PatternAttribute("brightness", "continuous", ("dark", "bright"), 1, 0.1, 3.0, 0.3, 0.01),
)


def make_patterns(seed=0, dims=6):
    rng = np.random.default_rng(seed)
    return Patterns(
        ATTRIBUTES,
        rng.standard_normal(dims).astype(np.float32),
        np.full(dims, 0.5, np.float32),
        np.eye(dims, dtype=np.float32),
        rng.standard_normal((6, len(CHANNELS))).astype(np.float32),
    )


def test_each_head_is_its_own_attributes_share_of_the_embedding():
    patterns = make_patterns()
    embedding = patterns.mean + 2 * np.array([0.1, 3.0, -1.0, 0.0, 2.0, -0.7], np.float32)
    heads = patterns.heads(embedding)
    assert [head.says for head in heads] == ["food", "yellow", "dark"]
    assert [head.latency_s for head in heads] == [0.18, 0.12, 0.1]
    np.testing.assert_allclose(heads[1].values_uv, 2.0 * patterns.maps[4], rtol=1e-5)
    np.testing.assert_allclose(heads[2].values_uv, -0.7 * patterns.maps[5], rtol=1e-5)
    assert not np.any([head.values_uv for head in patterns.heads(patterns.mean)])


@pytest.mark.parametrize(("angle_deg", "says"), [(10, "red"), (100, "yellow"), (-100, "blue"), (179, "cyan")])
def test_a_hue_is_named_after_the_nearest_around_the_circle(angle_deg, says):
    patterns = make_patterns()
    angle = np.deg2rad(angle_deg)
    step = 2 * np.array([0, 0, 0, np.cos(angle), np.sin(angle), 0], np.float32)
    assert patterns.heads(patterns.mean + step)[1].says == says


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit 6 columns"):
        replace(make_patterns(), maps=np.zeros((5, 4), np.float32))


def test_a_scalp_picture_is_orange_where_positive_and_blue_where_negative():
    image = scalp_image(CHANNELS, np.array([-3.0, 0.0, 3.0, 0.0], np.float32), 3.0, 61).astype(int)
    assert image.shape == (61, 61, 3)
    left, right = image[52, 22], image[52, 38]  # near O1 and O2
    assert left[2] > left[0] + 50
    assert right[0] > right[2] + 50
    assert (image[0, 0] == image[0, 60]).all()
    faint = scalp_image(CHANNELS, np.array([-0.3, 0.0, 0.3, 0.0], np.float32), 3.0, 61).astype(int)
    assert np.abs(faint - image)[52].sum() > 0
    assert faint[52, 38][0] < right[0]


def test_channels_without_a_place_are_left_out():
    names, values = (*CHANNELS, "AUX"), np.array([-3.0, 0.0, 3.0, 0.0, 99.0], np.float32)
    np.testing.assert_array_equal(scalp_image(names, values, 3.0, 40), scalp_image(CHANNELS, values[:4], 3.0, 40))
    nowhere = scalp_image(("A", "B"), np.ones(2, np.float32), 1.0, 40)
    assert len(np.unique(nowhere.reshape(-1, 3), axis=0)) <= 2


def shown(**changes):
    state = DisplayState(trial=3, electrodes=CHANNELS, confidence=0.5, **changes)
    return np.asarray(draw(state, (1280, 720), 0.0))[530:700, 860:1260].astype(int)


def test_the_display_shows_a_head_an_attribute_in_the_place_of_the_delays():
    patterns = make_patterns()
    first = patterns.heads(patterns.mean + 2 * np.array([0, 0, 2, 1, 0, 1], np.float32))
    second = patterns.heads(patterns.mean - 2 * np.array([0, 0, 2, 1, 0, 1], np.float32))
    off, empty, one, other = (shown(patterns=given) for given in (None, (), first, second))
    assert (off != empty).any()
    assert (one != empty).any()
    assert (one != other).any()
    assert (shown(patterns=first, abstain_below=0.9) != one).any()
    saturated = np.ptp(one, axis=2) > 60
    assert saturated.sum() > 10 * (np.ptp(empty, axis=2) > 60).sum() + 10
