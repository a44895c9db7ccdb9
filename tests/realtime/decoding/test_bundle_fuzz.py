"""A damaged bundle is refused on loading, in one line; one that loads decodes."""

import json
import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from test_bundle import bundle, identifying  # noqa: F401  (one is a fixture)

from realtime.decoding.bundle import BundleError, load_bundle
from realtime.decoding.filtered_patterns import PatternAttribute, Patterns
from realtime.decoding.linear_decoder import LinearDecoder
from realtime.decoding.low_level_map import LowLevelMap

N_CASES = 400
ODD = (None, 0, -1, -0.5, 1e300, 10**9, 2**70, True, "", "x", "250", [], {}, [1], [[]], {"a": 1}, float("nan"), "\x00")


@pytest.fixture
def whole(bundle):  # noqa: F811
    """A bundle with all its parts."""
    rng = np.random.default_rng(1)
    shapes = {"weights": (10, 3, 2), "bias": (2,), "components": (2, 4, 8, 8), "mean": (4, 8, 8)}
    low_level = LowLevelMap(**{k: rng.standard_normal(v).astype(np.float32) for k, v in shapes.items()}, space="sdxl")
    hue = PatternAttribute("hue", "circular", ("red", "yellow", "cyan", "blue"), 2, 0.12, 5.0, 0.3, 0.01)
    shapes = {"mean": (4,), "scale": (4,), "readout": (4, 2), "maps": (2, 3)}
    arrays = {k: rng.standard_normal(v).astype(np.float32) for k, v in shapes.items()}
    return replace(identifying(bundle), low_level=low_level, patterns=Patterns((hue,), **arrays))


def use(found):
    """What a session does with a bundle."""
    decoder = LinearDecoder(found.weights, found.bias)
    decoder.open(0)
    decoder.add(0, 0, np.ones((len(found.weights), len(found.spec.channels)), np.float32))
    embedding = decoder.close(0)
    assert np.isfinite(embedding).all()
    compared = found.gallery.compare(embedding)
    assert np.isfinite(compared.similarities).all()
    if found.confidence is not None:
        found.confidence.weight(found.gallery.length(embedding))
        assert np.isfinite(found.confidence.posterior(compared.reach, 3)).all()
    if found.identification is not None:
        finished = found.identification.finish(found.identification.bias)
        assert np.isfinite(found.candidates.compare(finished).similarities).all()
    if found.low_level is not None:
        found.low_level.latent(np.zeros(found.low_level.rank, np.float32))
    if found.patterns is not None:
        found.patterns.heads(embedding)
    found.spec.differences(found.spec)
    found.check_stream(found.spec, found.filters, found.rate_hz, len(found.weights), found.first_s)


def leaves(value, path=()):
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from leaves(item, (*path, key))


def mutate_json(text, rng):
    record = json.loads(text)
    *way, last = rng.choice([path for path in leaves(record) if path])
    inner = record
    for key in way:
        inner = inner[key]
    if rng.random() < 0.25:
        del inner[last]
    else:
        inner[last] = rng.choice(ODD)
    return json.dumps(record).encode()


def mutate_bytes(data, rng):
    kind = rng.randrange(4)
    if kind == 0:
        return data[: rng.randrange(len(data))]
    if kind == 1:
        return data + rng.randbytes(rng.randrange(1, 200))
    if kind == 2:
        return struct.pack("<Q", rng.choice([0, 1, 2**20, 2**40, 2**63])) + data[8:]
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def mutate_arrays(path, rng):
    arrays = load_file(path)
    name = rng.choice(sorted(arrays))
    one = arrays[name]
    changed = [one[..., :-1], one.astype(np.float64), one.astype(np.int32), np.stack([one, one]), one[None], one.T]
    value = one.copy()
    value.flat[rng.randrange(value.size)] = rng.choice([np.nan, np.inf, 1e30])
    arrays[name] = np.ascontiguousarray(rng.choice([*changed, value]))
    save_file(arrays, path)


def test_whatever_is_changed_it_loads_right_or_is_refused_in_one_line(whole, tmp_path):
    rng = random.Random(7)
    whole.save(tmp_path / "b")
    files = {path: path.read_bytes() for path in sorted((tmp_path / "b").iterdir()) if path.name != "scores.json"}
    use(load_bundle(tmp_path / "b"))
    refused = 0
    for case in range(N_CASES):
        path = rng.choice(list(files))
        if path.suffix == ".json" and rng.random() < 0.7:
            path.write_bytes(mutate_json(files[path], rng))
        elif path.suffix == ".safetensors" and rng.random() < 0.5:
            mutate_arrays(path, rng)
        else:
            path.write_bytes(mutate_bytes(files[path], rng))
        try:
            found = load_bundle(tmp_path / "b")
        except BundleError as error:
            if "\n" in str(error):
                pytest.fail(f"case {case}, {path.name}: {error}")
            refused += 1
        else:
            use(found)
        path.write_bytes(files[path])
    assert refused > N_CASES // 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": np.full((10, 3, 4), np.nan, np.float32)}, "weights holds NaN"),
        ({"bias": np.zeros(5, np.float32)}, "bias is F32 5, F32 4 expected"),
        ({"mean_input": np.zeros((9, 3), np.float32)}, "mean_input is F32 9×3, F32 10×3 expected"),
        ({"weights": np.zeros((10, 2, 4), np.float32)}, "weights is F32 10×2×4, F32 10×3×4 expected"),
        ({"rate_hz": 0.0}, "window.rate_hz: Input should be greater than 0"),
        ({"first_s": "soon"}, "window.first_s"),
    ],
)
def test_what_once_failed_in_mid_session_is_refused_on_loading(bundle, tmp_path, change, says):  # noqa: F811
    replace(bundle, **change).save(tmp_path / "b")
    with pytest.raises(BundleError, match="damaged") as refused:
        load_bundle(tmp_path / "b")
    assert says in str(refused.value)


def test_a_header_that_claims_more_than_the_file_holds_takes_no_memory(bundle, tmp_path):  # noqa: F811
    bundle.save(tmp_path / "b")
    header = {"weights": {"dtype": "F32", "shape": [10, 3, 10**9], "data_offsets": [0, 120 * 10**9]}}
    text = json.dumps(header).encode()
    (tmp_path / "b" / "decoder.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    with pytest.raises(BundleError, match=r"decoder\.safetensors"):
        load_bundle(tmp_path / "b")
