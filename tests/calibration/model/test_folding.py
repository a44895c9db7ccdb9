import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.data.reading import read_trials
from calibration.model.examples import Examples, Layout
from calibration.model.folding import Chain
from calibration.model.linear_model import fit_map
from configs.schema import FitSettings, load_config
from tests.support.calibration_examples import as_examples, layout_of, make_trials


@given(
    seed=st.integers(0, 10_000),
    times=st.integers(1, 12),
    channels=st.integers(1, 6),
    dims=st.integers(1, 5),
    before=st.integers(0, 4),
    dead=st.booleans(),
    averaged=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_one_matrix_does_what_the_steps_do(seed, times, channels, dims, before, dead, averaged):
    rng = np.random.default_rng(seed)
    baseline = np.zeros(before + times)
    baseline[: max(before, 1)] = 1 / max(before, 1) if seed % 2 else 0.0
    predicted_std = rng.uniform(0.1, 2, dims)
    predicted_std[0] = 0.0 if dead else predicted_std[0]
    steps = max(1, times // 2) if averaged else times
    chain = Chain(
        baseline=baseline,
        start=before,
        temporal=rng.standard_normal((times, steps)) if averaged else None,
        whitening=(lambda a: a + a.T)(rng.standard_normal((channels, channels))),
        mean=rng.standard_normal((steps, channels)),
        std=rng.uniform(0.5, 2, (steps, channels)),
        weights=rng.standard_normal((steps * channels, dims)),
        intercept=rng.standard_normal(dims),
        predicted_mean=rng.standard_normal(dims),
        predicted_std=predicted_std,
        target_mean=rng.standard_normal(dims),
        target_std=rng.uniform(0.1, 2, dims),
    )
    samples = (30 * rng.standard_normal((7, before + times, channels))).astype(np.float32)
    stepwise = chain.predict(samples)
    folded = chain.fold()
    exact = np.einsum("ntc,tcd->nd", samples.astype(np.float64), folded.weights.astype(np.float64)) + folded.bias
    # float32 weights: 1e-6 of what is added up, not of what is left after cancellation
    size = np.einsum("ntc,tcd->nd", np.abs(samples).astype(np.float64), np.abs(folded.weights)) + np.abs(folded.bias)
    assert np.all(np.abs(exact - stepwise) <= 1e-6 * (size + np.abs(stepwise)) + 1e-9)
    assert np.all(np.abs(folded.predict(samples) - stepwise) <= 4e-6 * (size + np.abs(stepwise)) + 1e-6)
    if dead:
        np.testing.assert_allclose(stepwise[:, 0], chain.target_mean[0])


def test_a_fitted_map_keeps_the_targets_spread_and_ignores_offsets():
    trials, targets = make_trials(n_pictures=80)
    mapping = fit_map(as_examples(trials, targets), layout_of(trials), FitSettings())
    folded, steps = mapping.map.predict(trials.samples), mapping.chain.predict(trials.samples)
    np.testing.assert_allclose(folded, steps, rtol=1e-4, atol=1e-4 * float(np.abs(steps).max()))
    np.testing.assert_allclose(folded.mean(axis=0), targets.of(trials.names).mean(axis=0), rtol=1e-4)
    # The baseline is folded in, so an electrode's offset changes nothing.
    np.testing.assert_allclose(mapping.map.predict(trials.samples + 500), folded, atol=0.02)


@pytest.mark.parametrize("alpha", [1e2, 1e3, 1e5])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("grouping", ["picture", "recording"])
def test_predictions_of_new_trials_vary_as_much_as_their_targets(alpha, average, grouping):
    """The truth is the map's own predictions of many new trials, which no fold's offset reaches."""
    trials, targets = make_trials(n_pictures=60, repeats=50, signal=0.3)
    seen, new = trials.take(slice(0, 240)), trials.take(slice(240, None))
    groups = seen.names if grouping == "picture" else np.arange(240) // 60
    settings = FitSettings(alphas=(alpha,), average_repeats=average)
    mapping = fit_map(as_examples(seen, targets, groups), layout_of(trials), settings)
    spread = mapping.map.predict(new.samples).std(axis=0) / targets.of(seen.names).std(axis=0)
    assert 0.97 < np.median(spread) < 1.08
    assert np.all((spread > 0.85) & (spread < 1.25))


@pytest.mark.slow
def test_faces_and_houses_vary_as_much_as_their_targets_in_a_run_that_was_left_out(shared_data):
    config = load_config("muse_n170")
    trials = read_trials([shared_data / "muse_n170" / f"run{n}.csv" for n in range(1, 5)], config)
    for choice, alpha, most in (("error", 1e2, 0.05), ("error", 1e6, 0.05), ("identification", 1e4, 0.15)):
        settings, spreads = FitSettings(choose=choice, alphas=(alpha,)), []
        for run in range(4):
            examples = Examples(
                trials.samples,
                (trials.names == "face")[:, None].astype(float),
                trials.recordings,
                trials.names,
                np.array([not flags for flags in trials.flags]),
            )
            train, test = examples.take(trials.recordings != run), trials.recordings == run
            layout = Layout.of(trials.times_s, config.window.start_s, config.window.baseline_s)
            mapping = fit_map(train, layout, settings)
            clean = test & examples.teaches
            spreads.append(mapping.map.predict(trials.samples[clean]).std() / train.targets[train.teaches].std())
        # The noise of a run that was not seen differs from that which was whitened.
        assert np.mean(spreads) == pytest.approx(1.0, abs=most), (choice, alpha, spreads)
