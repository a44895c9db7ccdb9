import numpy as np
import pytest
from scipy import linalg
from threadpoolctl import threadpool_info

from calibration.model.ridge import LARGE_DUAL, LARGE_PRIMAL, fit_ridge, threads_for
from realtime.processes.blas_threads import one_thread


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_linear_algebra_is_held_to_one_thread_and_let_go():
    linalg.inv(np.eye(3))
    before = blas_threads()
    with one_thread():
        assert blas_threads() == {1}
        with threads_for(LARGE_DUAL, 10 * LARGE_DUAL):
            assert blas_threads() == {1}, "what is inside cannot lift it"
    assert blas_threads() == before


@pytest.mark.parametrize(
    ("trials", "features", "large"),
    [
        (100, 6400, False),
        (LARGE_DUAL, LARGE_DUAL + 1, True),
        (16540, 100, False),
        (16540, LARGE_PRIMAL, True),
    ],
)
def test_large_maps_have_all_cores(trials, features, large):
    before = blas_threads()
    with threads_for(trials, features):
        assert blas_threads() == (before if large else {1})


def test_a_small_map_is_fitted_on_one(monkeypatch):
    seen = []
    inverse = linalg.lapack.dpotri
    monkeypatch.setattr(linalg.lapack, "dpotri", lambda *a, **k: (seen.append(blas_threads()), inverse(*a, **k))[1])
    rng = np.random.default_rng(0)
    fit_ridge(rng.standard_normal((30, 50)), rng.standard_normal((30, 2)), np.arange(30) % 3, (1.0, 10.0))
    assert seen
    assert all(each == {1} for each in seen)
