import json
from dataclasses import replace

import numpy as np
import pytest

from realtime.decoding.bundle import Bundle, BundleError, load_bundle
from realtime.decoding.evidence import ConfidenceModel
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from realtime.decoding.gallery import Gallery, similarity
from realtime.decoding.identification_head import IdentificationHead, Residual
from realtime.decoding.likelihood import Likelihood
from realtime.decoding.low_level_map import LowLevelMap
from realtime.decoding.memory import Memory
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace

SPEC = StreamSpec("Amp", "EEG", "amp-1", 250.0, ("O1", "Oz", "O2"), "microvolts", "Cz")
FILTERS = {"highpass_hz": 0.3, "lowpass_hz": 40.0, "delay_s": 0.012}


@pytest.fixture
def bundle():
    rng = np.random.default_rng(0)
    gallery = Gallery(
        ("a", "b"),
        ("cat", "dog"),
        rng.standard_normal((2, 4)).astype(np.float32),
        np.zeros(4, np.float32),
        np.ones(4, np.float32),
    )
    return Bundle(
        spec=SPEC,
        filters=FILTERS,
        rate_hz=125.0,
        first_s=-0.2,
        weights=rng.standard_normal((10, 3, 4)).astype(np.float32),
        bias=rng.standard_normal(4).astype(np.float32),
        mean_input=rng.standard_normal((10, 3)).astype(np.float32),
        space=EmbeddingSpace("tiny", "builtin", 4),
        gallery=gallery,
        confidence=ConfidenceModel(0.4, 0.2, 12.0),
        scores={"two_way": 0.8},
    )


def test_what_is_written_is_read_back(bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle")
    for name in ("weights", "bias", "mean_input"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bundle, name))
    np.testing.assert_array_equal(again.gallery.embeddings, bundle.gallery.embeddings)
    assert again.gallery.names == bundle.gallery.names
    for name in ("spec", "filters", "rate_hz", "first_s", "space", "confidence", "scores", "simulated"):
        assert getattr(again, name) == getattr(bundle, name)


def test_how_the_eeg_varied_is_kept_where_it_is_known(bundle, tmp_path):
    known = replace(bundle, window_covariance=np.eye(3, dtype=np.float32))
    for name, each in (("known", known), ("unknown", bundle)):
        each.save(tmp_path / name)
    np.testing.assert_array_equal(load_bundle(tmp_path / "known").window_covariance, np.eye(3))
    assert load_bundle(tmp_path / "unknown").window_covariance is None
    replace(bundle, window_covariance=np.eye(4, dtype=np.float32)).save(tmp_path / "wrong")
    with pytest.raises(BundleError, match="window_covariance is F32 4×4, F32 3×3 expected"):
        load_bundle(tmp_path / "wrong")


@pytest.mark.parametrize("rank", [0, 2])
def test_by_what_pictures_are_told_apart_is_read_back(bundle, tmp_path, rank):
    rng = np.random.default_rng(1)
    sizes = ((4,), (4,), (4,), (rank, 4))
    likelihood = Likelihood(*(np.abs(rng.standard_normal(size)).astype(np.float32) for size in sizes))
    replace(bundle, gallery=replace(bundle.gallery, likelihood=likelihood)).save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle").gallery
    for name in ("mean", "response", "precision", "decorrelation"):
        np.testing.assert_array_equal(getattr(again.likelihood, name), getattr(likelihood, name))
    record = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    record["likelihood"]["rank"] = 3
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(BundleError, match=f"likelihood_decorrelation is F32 {rank}×4, F32 3×4 expected"):
        load_bundle(tmp_path / "bundle")


def test_a_bundle_from_before_likelihoods_compares_by_the_angle(bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    record = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert record.pop("likelihood") is None
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(record))
    again = load_bundle(tmp_path / "bundle").gallery
    assert again.likelihood is None
    embedding = np.array([1.0, -2.0, 0.5, 3.0], np.float32)
    expected = similarity(embedding[None], bundle.gallery.embeddings, bundle.gallery.mean, bundle.gallery.std)[0]
    np.testing.assert_allclose(again.similarities(embedding), expected, rtol=1e-6)


def test_an_old_bundle_is_replaced_whole(bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    (tmp_path / "bundle" / "report.html").write_text("old")
    replace(bundle, first_s=0.0).save(tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").first_s == 0.0
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert not (tmp_path / "bundle" / "report.html").exists()


def test_a_bundle_never_takes_the_place_of_anything_else(bundle, tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    bundle.save(folder)  # an empty folder will do
    (folder / "run1.csv").write_text("raw")
    bundle.save(folder)
    assert (folder / "run1.csv").read_text() == "raw"
    assert load_bundle(folder).spec == SPEC
    (folder / "decoder.safetensors").unlink()
    with pytest.raises(BundleError, match=r"recordings holds bundle\.json, .* is no bundle"):
        bundle.save(folder)
    with pytest.raises(BundleError, match=r"run1\.csv is a file"):
        bundle.save(folder / "run1.csv")
    assert (folder / "run1.csv").read_text() == "raw"


def test_the_stream_it_was_made_for_is_accepted_in_any_channel_order(bundle):
    bundle.check_stream(replace(SPEC, channels=("EOG", "O2", "Oz", "O1"), source_id="other"), FILTERS, 125.0, 10, -0.2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"spec": replace(SPEC, channels=("O1", "O2"))}, "channels missing: Oz"),
        ({"spec": replace(SPEC, rate_hz=500.0)}, "rate: 250 Hz expected, 500 Hz found"),
        ({"spec": replace(SPEC, reference="average")}, "reference: Cz expected, average found"),
        ({"filters": FILTERS | {"lowpass_hz": 30.0}}, "filter lowpass_hz: 40.0 expected, 30.0 configured"),
        ({"n_times": 12}, "window: 10 samples from -0.2 s expected, 12"),
        ({"first_s": 0.0}, "window: 10 samples from -0.2 s expected, 10 from 0 s"),
        ({"rate_hz": 250.0}, "rate after decimation: 125 Hz expected"),
    ],
)
def test_a_stream_that_does_not_match_is_refused_with_the_difference(bundle, change, says):
    live = {"spec": SPEC, "filters": FILTERS, "rate_hz": 125.0, "n_times": 10, "first_s": -0.2} | change
    with pytest.raises(BundleError, match=says):
        bundle.check_stream(**live)


def test_damaged_bundles_are_refused_in_one_line(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"bundle\.json is missing"):
        load_bundle(tmp_path)
    bundle.save(tmp_path / "b")
    record = json.loads((tmp_path / "b" / "bundle.json").read_text())
    for schema, says in (
        (1, "an older version (schema 1, this one reads 2): fit"),
        (99, "a newer version (schema 99,"),
    ):
        (tmp_path / "b" / "bundle.json").write_text(json.dumps(record | {"schema": schema}))
        with pytest.raises(BundleError) as refused:
            load_bundle(tmp_path / "b")
        assert str(refused.value).startswith(f"bundle {tmp_path / 'b'} was made by {says}")
    window = {"window": record["window"] | {"n_times": 11}}
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(record | window))
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path / "b")
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(record))
    (tmp_path / "b" / "decoder.safetensors").write_bytes(b"short")
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(tmp_path / "b")


def identifying(bundle, units=5):
    """`bundle` with a second output of three columns, corrected by `units` hidden units where there are any."""
    rng = np.random.default_rng(3)

    def drawn(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    gallery = replace(bundle.gallery, embeddings=drawn(2, 3), mean=drawn(3), std=np.ones(3, np.float32))
    residual = Residual(drawn(3, units), drawn(units), drawn(units, 3), drawn(3)) if units else None
    return replace(bundle, identification=IdentificationHead(drawn(10, 3, 3), drawn(3), gallery, "layers 1", residual))


@pytest.mark.parametrize("units", [0, 5])
def test_an_identification_head_comes_back_and_a_bundle_without_one_is_read_as_before(bundle, tmp_path, units):
    whole = identifying(bundle, units)
    whole.save(tmp_path / "b")
    found, head = load_bundle(tmp_path / "b"), whole.identification
    for name in ("weights", "bias"):
        np.testing.assert_array_equal(getattr(found.identification, name), getattr(head, name))
    for name in ("embeddings", "mean", "std"):
        np.testing.assert_array_equal(getattr(found.candidates, name), getattr(head.gallery, name))
    assert (found.candidates.names, found.identification.targets) == (("a", "b"), "layers 1")
    summed = np.float32([1, -2, 3])
    np.testing.assert_array_equal(found.identification.finish(summed), head.finish(summed))
    bundle.save(tmp_path / "b")
    record = tmp_path / "b" / "bundle.json"
    told = json.loads(record.read_text())
    assert told.pop("identification") is None
    record.write_text(json.dumps(told))
    before = load_bundle(tmp_path / "b")
    assert before.identification is None
    assert before.candidates is before.gallery
    assert not (tmp_path / "b" / "identification.safetensors").exists()


def test_a_damaged_identification_head_is_refused_in_one_line(bundle, tmp_path):
    identifying(bundle).save(tmp_path / "b")
    record = tmp_path / "b" / "bundle.json"
    record.write_text(record.read_text().replace('"units": 5', '"units": 6'))
    with pytest.raises(BundleError, match=r"identification\.safetensors: hidden is F32 3×5, F32 3×6 expected") as error:
        load_bundle(tmp_path / "b")
    assert "\n" not in str(error.value)


def test_a_low_level_map_comes_back(bundle, tmp_path):
    rng = np.random.default_rng(1)
    shapes = {"weights": (10, 3, 2), "bias": (2,), "components": (2, 4, 8, 8), "mean": (4, 8, 8)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    replace(bundle, low_level=LowLevelMap(**arrays, space="sdxl")).save(tmp_path / "b")
    found = load_bundle(tmp_path / "b").low_level
    assert found.space == "sdxl"
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(found, name), array)
    bundle.save(tmp_path / "b")
    assert load_bundle(tmp_path / "b").low_level is None


def test_patterns_come_back_and_must_fit(bundle, tmp_path):
    rng = np.random.default_rng(1)
    shapes = {"mean": (4,), "scale": (4,), "readout": (4, 2), "maps": (2, 3)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    hue = PatternAttribute("hue", "circular", ("red", "yellow", "cyan", "blue"), 2, 0.12, 5.0, 0.3, 0.01)
    patterns = Patterns((hue,), **arrays)
    replace(bundle, patterns=patterns).save(tmp_path / "b")
    found = load_bundle(tmp_path / "b").patterns
    assert found.attributes == (hue,)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(found, name), array)
    replace(bundle, patterns=replace(patterns, maps=np.zeros((2, 5), np.float32))).save(tmp_path / "b")
    with pytest.raises(BundleError, match="maps is F32 2×5, F32 2×3 expected"):
        load_bundle(tmp_path / "b")
    bundle.save(tmp_path / "b")
    assert load_bundle(tmp_path / "b").patterns is None


def test_a_bundle_of_before_there_were_patterns_is_read(bundle, tmp_path):
    bundle.save(tmp_path / "b")
    path = tmp_path / "b" / "bundle.json"
    record = json.loads(path.read_text())
    del record["patterns"]
    path.write_text(json.dumps(record))
    assert load_bundle(tmp_path / "b").patterns is None


def remembered(bundle):
    rng = np.random.default_rng(1)
    memory = Memory(
        window=rng.standard_normal((6, 8, 3)).astype(np.float32),
        targets=rng.standard_normal((6, 4)).astype(np.float32),
        mean_window=rng.standard_normal((8, 3)).astype(np.float32),
        mean_target=rng.standard_normal(4).astype(np.float32),
        n_trials=30,
        by_recording=(12, 18),
        alpha=100.0,
        step_s=0.016,
        smooth_s=(0.02, 0.0),
        windows=(None, (0.04, 0.5)),
        baseline_s=(-0.2, 0.0),
    )
    return replace(bundle, memory=memory, participant="p07")


def test_a_bundle_remembers_and_says_in_its_record_what_and_of_whom(bundle, tmp_path):
    remembered(bundle).save(tmp_path / "bundle")
    told = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert (told["participant"], told["memory"]["n_trials"], told["memory"]["by_recording"]) == ("p07", 30, [12, 18])
    again, memory = load_bundle(tmp_path / "bundle").memory, remembered(bundle).memory
    for name, value in vars(memory).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(again, name), value)
        else:
            assert getattr(again, name) == value


def test_a_bundle_without_memory_decodes_the_same_and_a_new_one_leaves_none_of_the_old(bundle, tmp_path):
    remembered(bundle).save(tmp_path / "bundle")
    bundle.save(tmp_path / "bundle")
    again = load_bundle(tmp_path / "bundle")
    assert again.memory is None
    assert not (tmp_path / "bundle" / "memory.safetensors").exists()
    np.testing.assert_array_equal(again.weights, bundle.weights)


def test_a_bundle_of_a_version_that_remembered_nothing_is_read(bundle, tmp_path):
    bundle.save(tmp_path / "bundle")
    record = tmp_path / "bundle" / "bundle.json"
    told = json.loads(record.read_text())
    del told["memory"], told["participant"]
    record.write_text(json.dumps(told))
    again = load_bundle(tmp_path / "bundle")
    assert (again.memory, again.participant) == (None, None)
    np.testing.assert_array_equal(again.weights, bundle.weights)


def test_a_memory_of_one_time_scale_and_window_is_read_as_the_first_version_wrote_it(bundle, tmp_path):
    remembered(bundle).save(tmp_path / "bundle")
    file = tmp_path / "bundle" / "bundle.json"
    told = json.loads(file.read_text())
    del told["memory"]["windows"]
    file.write_text(json.dumps(told | {"memory": told["memory"] | {"smooth_s": 0.02, "window_s": [0.1, 0.3]}}))
    memory = load_bundle(tmp_path / "bundle").memory
    assert (memory.smooth_s, memory.windows) == ((0.02,), ((0.1, 0.3),))
    file.write_text(json.dumps(told | {"memory": told["memory"] | {"smooth_s": []}}))
    with pytest.raises(BundleError, match="smooth_s") as error:
        load_bundle(tmp_path / "bundle")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["cut", "gone", "another"])
def test_a_damaged_memory_is_refused_in_one_line(bundle, tmp_path, damage):
    remembered(bundle).save(tmp_path / "bundle")
    file = tmp_path / "bundle" / "memory.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-40])
    elif damage == "gone":
        file.unlink()
    else:
        record = tmp_path / "bundle" / "bundle.json"
        record.write_text(record.read_text().replace('"rows": 6', '"rows": 7'))
    with pytest.raises(BundleError, match=r"memory\.safetensors") as error:
        load_bundle(tmp_path / "bundle")
    assert "\n" not in str(error.value)
