import numpy as np
import pytest

from calibration.maps.attributes import Attribute, class_attribute, measure_attributes
from calibration.maps.cluster_test import PartialRegression
from calibration.maps.maps import decode_held_out, find_peak, level_rows, make_maps
from calibration.maps.readout import Units, make_units
from configs.schema import FitSettings, PictureSettings
from realtime.sources.simulation.evoked import EvokedResponse, components
from stimuli.pictures import open_pictures
from tests.support.simulated_epochs import CHANNELS, DRIVEN, LAYOUT, TIMES_S, answers, latency_s, make_examples

SNR = 2.5
SETTINGS = FitSettings(permutations=100)
PARTS = {"class": "superclass", "hue": "hue", "texture": "texture"}


@pytest.fixture(scope="module")
def units():
    return make_units(make_examples(400, 2, snr=SNR), LAYOUT, SETTINGS)


@pytest.fixture(scope="module")
def shown():
    return open_pictures(PictureSettings(), "calibration")


@pytest.fixture(scope="module")
def attributes(units, shown):
    lot = np.random.default_rng(1).standard_normal(len(units))
    names = tuple(units.names.tolist())
    measured = [each for each in measure_attributes(shown, names) if each.name in PARTS]
    return [*measured, Attribute("lot", "continuous", lot, names, ("low", "high"))]


@pytest.fixture(scope="module")
def maps(units, shown, attributes):
    concepts = np.array([shown.label(name) for name in units.names])
    return make_maps(units, TIMES_S, CHANNELS, attributes, settings=SETTINGS, concepts=concepts)


def true_map(units, attribute):
    """Each level's response to what the attribute drives, without noise, and when it peaks."""
    parts = components(CHANNELS)
    own = np.array([part.attribute == PARTS[attribute.name] for part in parts])
    evoked = EvokedResponse(parts)
    samples = np.stack([SNR * evoked.at(TIMES_S, drive * own) for drive in answers(units.names)])
    nothing, block = np.zeros((len(units), 0)), np.zeros(len(units), np.int64)
    slopes = PartialRegression(samples, attribute.design(units.names), nothing, block).slopes()
    return np.tensordot(level_rows(attribute, units.names), slopes, axes=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PARTS))
def test_topography_and_latency_of_what_was_simulated_come_back(maps, units, name):
    assert set(PARTS.values()) == set(DRIVEN)
    (found,) = [each for each in maps.attributes if each.attribute.name == name]
    true = true_map(units, found.attribute)
    (at, _), (peak, _) = find_peak(true, np.zeros(true.shape[1:], np.bool_)), found.peak
    assert np.corrcoef(found.measured[:, peak].ravel(), true[:, at].ravel())[0, 1] >= 0.9
    assert TIMES_S[peak] == pytest.approx(latency_s(PARTS[name]), abs=0.02)
    assert found.significant
    assert found.variance_explained > 0


def test_a_lot_makes_no_difference(maps):
    (found,) = [each for each in maps.attributes if each.attribute.name == "lot"]
    numbers = maps.numbers()["lot"]
    assert not found.significant
    assert not found.test.significant.any()
    assert numbers["peak_latency_ms"] is None
    assert numbers["peak_channels"] is None
    assert numbers["cluster_p"] > 0.05


def test_numbers_say_where_when_and_how_sure(maps):
    numbers = maps.numbers()
    assert list(numbers) == ["class", "hue", "texture", "lot"]
    hue = numbers["hue"]
    assert hue["cluster_p"] == pytest.approx(0.01)
    assert set(hue["peak_channels"]) <= set(CHANNELS)
    assert hue["compared"] == "pictures of the same concept"
    assert numbers["class"]["compared"] == "40 concepts"


def test_what_the_decoder_reads_has_the_shape_of_what_was_evoked(units, shown, attributes):
    """With embeddings that are the hue itself, the filtered EEG and Haufe's pattern show hue's topography."""
    hue = next(each for each in attributes if each.name == "hue")
    embeddings = np.concatenate([hue.design(units.names), np.random.default_rng(0).standard_normal((len(units), 4))], 1)
    told = []
    maps = make_maps(units, TIMES_S, CHANNELS, [hue], embeddings, SETTINGS, lambda *what: told.append(what))
    (found,) = maps.attributes
    true, peak = true_map(units, hue), found.peak[0]
    for view in (found.filtered, found.decoder):
        assert np.corrcoef(view[:, peak].ravel(), true[:, peak].ravel())[0, 1] > 0.9
    # Haufe's pattern is the response to what is read; regression to the mean makes it larger than what is there.
    assert 0.5 < np.linalg.norm(found.decoder[:, peak]) / np.linalg.norm(true[:, peak]) < 3
    assert maps.model is not None
    assert maps.model.explained.max() > 0.05
    parts = list(dict.fromkeys(what for what, *_ in told))
    assert parts == ["decoding what was held out", "forward model", "shuffling hue"]


def test_nobody_decodes_a_unit_with_a_map_that_has_seen_it(units):
    embeddings = np.random.default_rng(0).standard_normal((len(units), 3))
    before = decode_held_out(units, TIMES_S, embeddings, SETTINGS)
    changed = embeddings.copy()
    changed[units.folds == 1] += 10
    after = decode_held_out(units, TIMES_S, changed, SETTINGS)
    np.testing.assert_allclose(after[units.folds == 1], before[units.folds == 1], atol=1e-5)


def test_an_attribute_that_others_tell_whole_is_left_out_in_one_line(units, attributes):
    texture = next(each for each in attributes if each.name == "texture")
    twin = Attribute("twin", "continuous", -3 * texture.values, texture.pictures, ("low", "high"))
    maps = make_maps(units, TIMES_S, CHANNELS, [texture, twin], settings=FitSettings(permutations=20))
    assert maps.attributes == ()
    assert [line.partition(":")[0] for line in maps.left_out] == ["no map of texture", "no map of twin"]


@pytest.mark.parametrize("channels", [("TP9", "AF7", "AF8", "TP10"), ("EXG1", "Oz", "Pz", "EXG2")])
def test_any_montage_gives_maps(channels):
    """Faces and houses at four electrodes, two of which may have no known place."""
    rng = np.random.default_rng(0)
    names = np.array(["face", "house"])[np.arange(80) % 2]
    samples = rng.standard_normal((80, 20, 4))
    samples[names == "face", 8:11, 3] -= 2
    units = Units(samples, names, np.arange(80) // 20, np.arange(80) // 20, 80)
    maps = make_maps(units, np.arange(20) / 50, channels, [class_attribute(["face", "house"])], settings=SETTINGS)
    (found,) = maps.attributes
    assert found.counts == (40, 40)
    assert maps.numbers()["class"]["peak_channels"] == [channels[3]]
    assert maps.numbers()["class"]["peak_latency_ms"] == pytest.approx(180, abs=21)
    difference = found.measured[0] - found.measured[1]
    assert difference[8:11, 3].mean() == pytest.approx(-2, abs=0.4)
    assert (maps.montage.cannot_draw is None) == ("TP9" in channels)
