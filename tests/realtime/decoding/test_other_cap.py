from dataclasses import replace

import numpy as np
import pytest

from realtime.decoding.bundle import Bundle, BundleError
from realtime.decoding.gallery import Gallery
from realtime.decoding.identification_head import IdentificationHead
from realtime.decoding.linear_decoder import WindowWeights
from realtime.decoding.missing_channels import filled_in, mixed_weights
from realtime.decoding.other_cap import expected_score, fitted
from realtime.electrodes import CHANNELS_64, on_sphere, reference_electrodes
from realtime.sources.base import StreamSpec
from realtime.spaces import EmbeddingSpace

OWN = ("Fz", "Cz", "Pz", "Oz", "T7", "T8", "P3", "P4")
TIMES, DIMS = 6, 5


def bundle(channels=OWN, reference=None, known=True, seed=0):
    """A random map of channels whose noise is smooth over the head."""
    rng = np.random.default_rng(seed)
    at = np.array([on_sphere(name) for name in channels])
    covariance = 100 * np.exp(4 * (at @ at.T - 1)) + 5 * np.eye(len(channels))
    electrodes = reference_electrodes(reference)
    places = [place for place, name in enumerate(channels) if electrodes in ((), None) or name.upper() in electrodes]
    referred = np.eye(len(channels))
    if reference is not None and places:
        referred[:, places] -= 1 / len(places)
    covariance = referred @ covariance @ referred.T
    mean = (rng.standard_normal((TIMES, len(channels))) @ referred.T).astype(np.float32)
    embeddings = rng.standard_normal((4, DIMS)).astype(np.float32)
    names = ("a", "b", "c", "d")
    weights = rng.standard_normal((TIMES, len(channels), DIMS)).astype(np.float32)
    flat = weights.astype(np.float64).swapaxes(0, 1).reshape(len(channels), -1)
    return Bundle(
        spec=StreamSpec("Amp", "EEG", "1", 250.0, tuple(channels), reference=reference),
        filters={"n_channels": len(channels)},
        rate_hz=250.0,
        first_s=0.0,
        weights=weights,
        bias=rng.standard_normal(DIMS).astype(np.float32),
        mean_input=mean,
        space=EmbeddingSpace("tiny", "random", DIMS),
        gallery=Gallery(names, names, embeddings, embeddings.mean(axis=0), embeddings.std(axis=0)),
        scores={"two_way": 0.86},
        covariance=covariance.astype(np.float32) if known else None,
        use=(flat @ flat.T).astype(np.float32) if known else None,
    )


def on(made, channels, reference=None, least=0.0):
    return fitted(made, replace(made.spec, channels=tuple(channels), reference=reference), least)


def decoded(made, window):
    return made.bias + np.einsum("tc,tcd->d", window.astype(np.float64), made.weights)


def window(channels=OWN, seed=3):
    return (10 * np.random.default_rng(seed).standard_normal((TIMES, len(channels)))).astype(np.float32)


def test_a_stream_that_has_all_channels_leaves_the_bundle_alone():
    made = bundle()
    assert on(made, [*OWN, "EOG", "O1"]).bundle is made
    assert on(made, OWN[::-1]).text is None


def test_other_names_for_the_same_places_change_nothing_else():
    made = bundle()
    renamed = ("FZ", "CZ", "PZ", "OZ", "T3", "T4", "P3", "P4")
    cap = on(made, ["EOG", *renamed])
    assert cap.bundle.spec.channels == renamed
    np.testing.assert_array_equal(cap.bundle.weights, made.weights)
    np.testing.assert_array_equal(cap.bundle.bias, made.bias)
    assert cap.text == "another cap: other names for the same places; expected two-way 0.86 instead of 0.86"


def test_numbered_plugs_are_no_earlobes():
    made = bundle()
    with pytest.raises(BundleError, match=r"no electrode of A1, A2, A3.* has a known place; name them .* such as Fz"):
        on(made, [f"A{number}" for number in range(1, 33)])
    assert on(made, ["A1", "A2", "Cz"]).bundle.spec.channels == ("Cz", "A1", "A2")
    assert on(made, ["A1", "A2", "A3", "Cz"]).bundle.spec.channels == ("Cz",)


def test_missing_electrodes_are_guessed_as_dead_ones_are():
    made = bundle()
    here = [name for name in OWN if name not in ("Pz", "T8")]
    cap = on(made, here)
    filling = filled_in(made.covariance.astype(np.float64), np.array([2, 5]))
    whole = WindowWeights.of(made.weights, made.bias)
    dead = mixed_weights(whole, made.mean_input, made.mean_input, filling)
    full = window()
    expected = dead.bias + full.reshape(-1) @ dead.weights
    np.testing.assert_allclose(decoded(cap.bundle, full[:, [OWN.index(name) for name in here]]), expected, rtol=1e-3)
    assert "another cap: Pz, T8 are guessed from the others; expected two-way 0." in cap.text
    assert 0.6 < cap.facts["expected"] < 0.86
    assert cap.bundle.filters["n_channels"] == cap.bundle.covariance.shape[0] == 6


def test_electrodes_nearby_stand_in_for_one_that_is_missing():
    """With POz and P1 beside it, less of Pz is lost."""
    made = bundle()
    here = [name for name in OWN if name != "Pz"]
    without, beside = on(made, here), on(made, [*here, "POz", "P1", "P2", "CPz"])
    assert beside.facts["expected"] > without.facts["expected"]
    assert beside.bundle.spec.channels[len(here) :] == ("POz", "P1", "P2", "CPz")


@pytest.mark.parametrize(("own", "given"), [("Cz", "average"), ("average", "Cz"), ("P3, P4", "Cz"), ("Cz", "P3, P4")])
def test_a_reference_whose_electrodes_are_in_the_stream_is_changed_exactly(own, given):
    potentials = window(seed=5)

    def referred(reference):
        electrodes = reference_electrodes(reference) or [name.upper() for name in OWN]
        at = [place for place, name in enumerate(OWN) if name.upper() in electrodes]
        return potentials - potentials[:, at].mean(axis=1, keepdims=True)

    made = bundle(reference=own)
    cap = on(made, OWN, given)
    assert cap.bundle.spec.channels == OWN
    np.testing.assert_allclose(decoded(cap.bundle, referred(given)), decoded(made, referred(own)), rtol=2e-3, atol=2e-3)
    assert f"the reference is {given} instead of {own}" in cap.text


def test_where_the_references_electrodes_are_missing_no_reference_changes_the_embedding():
    made = bundle(reference="linked mastoids")
    cap = on(made, OWN, "average").bundle
    seen = window()
    common = 50 * np.sin(np.arange(TIMES))[:, None].astype(np.float32)
    np.testing.assert_allclose(decoded(cap, seen + common), decoded(cap, seen), atol=0.05)
    assert on(made, OWN, "average").facts["expected"] < 0.86


def test_too_little_is_refused_with_what_is_expected_and_a_setting_decides():
    made = bundle(CHANNELS_64)
    with pytest.raises(
        BundleError, match=r"from 4 electrodes two_way 0\.\d\d instead of 0\.86 is expected, too little"
    ):
        on(made, ("Fp1", "Fp2", "T7", "T8"), least=0.9)
    assert on(made, ("Fp1", "Fp2", "T7", "T8"), least=0.0).facts["expected"] < 0.86
    with pytest.raises(BundleError, match=r"channels missing: AFz"):
        on(made, [name for name in CHANNELS_64 if name != "AFz"], least=1.0)
    with pytest.raises(BundleError, match="no electrode of EXG1, EXG2 has a known place"):
        on(made, ("EXG1", "EXG2"))


def test_a_bundle_of_before_interpolates_and_says_so():
    made = bundle(known=False)
    cap = on(made, [name for name in OWN if name != "Pz"], least=0.5)
    assert cap.text == "another cap: Pz is interpolated by spherical splines; what to expect is not known"
    with pytest.raises(BundleError, match="what they cost is not known"):
        on(made, ("Fz", "Cz"), least=0.5)


def test_a_score_falls_to_chance_with_what_is_left_of_the_predictions():
    assert expected_score(0.86, 1.0) == pytest.approx(0.86)
    assert expected_score(0.86, 0.0) == pytest.approx(0.5)
    assert 0.5 < expected_score(0.86, 0.25) < expected_score(0.86, 0.5) < 0.86


def test_a_second_output_follows_the_first_onto_the_other_cap():
    made = bundle()
    head = IdentificationHead(made.weights[:, :, 1:3], made.bias[1:3], made.gallery, "two of the first one's columns")
    found = on(replace(made, identification=head), [*OWN[::-1][:-1], "POz"]).bundle
    np.testing.assert_allclose(found.identification.weights, found.weights[:, :, 1:3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.identification.bias, found.bias[1:3], rtol=1e-4, atol=1e-3)
