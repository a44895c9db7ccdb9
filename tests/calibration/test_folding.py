import numpy as np
from calibration_examples import as_examples, layout_of, make_trials
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.folding import Chain
from calibration.mapping import fit_map
from configs.schema import FitSettings


@given(
    seed=st.integers(0, 10_000),
    times=st.integers(1, 12),
    channels=st.integers(1, 6),
    dims=st.integers(1, 5),
    before=st.integers(0, 4),
    dead=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_one_matrix_does_what_the_steps_do(seed, times, channels, dims, before, dead):
    rng = np.random.default_rng(seed)
    baseline = np.zeros(before + times)
    baseline[: max(before, 1)] = 1 / max(before, 1) if seed % 2 else 0.0
    predicted_std = rng.uniform(0.1, 2, dims)
    predicted_std[0] = 0.0 if dead else predicted_std[0]
    chain = Chain(
        baseline=baseline,
        start=before,
        whitening=(lambda a: a + a.T)(rng.standard_normal((channels, channels))),
        mean=rng.standard_normal((times, channels)),
        std=rng.uniform(0.5, 2, (times, channels)),
        weights=rng.standard_normal((times * channels, dims)),
        intercept=rng.standard_normal(dims),
        predicted_mean=rng.standard_normal(dims),
        predicted_std=predicted_std,
        target_mean=rng.standard_normal(dims),
        target_std=rng.uniform(0.1, 2, dims),
    )
    samples = (30 * rng.standard_normal((7, before + times, channels))).astype(np.float32)
    steps = chain.predict(samples)
    folded = chain.fold()
    exact = np.einsum("ntc,tcd->nd", samples.astype(np.float64), folded.weights.astype(np.float64)) + folded.bias
    # float32 weights: 1e-6 of what is added up, not of what is left after cancellation
    size = np.einsum("ntc,tcd->nd", np.abs(samples).astype(np.float64), np.abs(folded.weights)) + np.abs(folded.bias)
    assert np.all(np.abs(exact - steps) <= 1e-6 * (size + np.abs(steps)) + 1e-9)
    assert np.all(np.abs(folded.predict(samples) - steps) <= 4e-6 * (size + np.abs(steps)) + 1e-6)
    if dead:
        np.testing.assert_allclose(steps[:, 0], chain.target_mean[0])


def test_a_fitted_map_keeps_the_targets_spread_and_ignores_offsets():
    trials, targets = make_trials(n_pictures=80)
    mapping = fit_map(as_examples(trials, targets), layout_of(trials), FitSettings())
    folded, steps = mapping.map.predict(trials.samples), mapping.chain.predict(trials.samples)
    np.testing.assert_allclose(folded, steps, rtol=1e-4, atol=1e-4 * float(np.abs(steps).max()))
    held_out = (mapping.ridge.held_out - mapping.chain.predicted_mean) * mapping.chain._gain
    np.testing.assert_allclose(held_out.std(axis=0), targets.of(trials.names).std(axis=0), rtol=1e-5)
    # The baseline is folded in, so an electrode's offset changes nothing.
    np.testing.assert_allclose(mapping.map.predict(trials.samples + 500), folded, atol=0.02)
