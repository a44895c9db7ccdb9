"""The ridge fit beside scikit-learn doing the same work, each in a process of its own, one after the other."""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import machine, print_table, versions

ALPHAS = tuple(10.0**k for k in range(10))
FOLDS = 5
PROBE = 200
PRIMAL = (16_540, 1_360, 1_024)
DUAL = (4_000, 15_750, 1_024)


def run(quick: bool = False) -> dict[str, Any]:
    """Fit and cross-validate 5 folds × 10 alphas; headline figures are for THINGS-EEG2's size."""
    primal, dual = ((2_000, 200, 64), (400, 1_500, 64)) if quick else (PRIMAL, DUAL)
    rows = {
        "ours": _apart(_ours, primal),
        "GridSearchCV(Ridge)": _apart(_gridsearch, primal),
        "RidgeCV": _apart(_ridgecv, primal),
        "ours, dual": _apart(_ours, dual),
    }
    ours, reference = rows["ours"], rows["GridSearchCV(Ridge)"]
    same = ours["alpha"] == reference["alpha"]
    result = {
        "seconds": ours["seconds"],
        "sklearn_gridsearch_seconds": reference["seconds"],
        "sklearn_ridgecv_seconds": rows["RidgeCV"]["seconds"],
        "speedup_gridsearch": reference["seconds"] / ours["seconds"],
        "speedup_ridgecv": rows["RidgeCV"]["seconds"] / ours["seconds"],
        "peak_mb": ours["peak_mb"],
        "max_abs_difference": float(np.abs(ours.pop("predicted") - reference.pop("predicted")).max()),
        "same_alpha": same,
        "alpha": ours["alpha"],
        "dual_seconds": rows["ours, dual"]["seconds"],
        "dual_peak_mb": rows["ours, dual"]["peak_mb"],
        "core_seconds": {name: row["core_seconds"] for name, row in rows.items()},
        "versions": versions("numpy", "scipy", "scikit-learn"),
        "shape": list(primal),
        "dual_shape": list(dual),
        "folds": FOLDS,
        "alphas": list(ALPHAS),
        "load_average": list(os.getloadavg()),
        "machine": machine(),
    }
    print_table(
        f"ridge, {FOLDS} folds × {len(ALPHAS)} alphas; largest difference of predictions "
        f"{result['max_abs_difference']:.1e}; " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()),
        ("", "trials × features → targets", "s", "core s", "peak MB", "alpha"),
        [
            (
                name,
                " × ".join(map(str, dual if "dual" in name else primal)),
                row["seconds"],
                row["core_seconds"],
                row["peak_mb"],
                row["alpha"],
            )
            for name, row in rows.items()
        ],
    )
    return result


def make_problem(n: int, features: int, targets: int) -> tuple[Any, Any, Any]:
    """Return samples, targets and folds in double precision: weak signal in correlated features, as EEG has it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, features))
    x[:, 1:] += 0.8 * x[:, :-1]
    y = x @ rng.standard_normal((features, targets)) * (0.3 / np.sqrt(features)) + rng.standard_normal((n, targets))
    return x, y, np.arange(n) // 10 % FOLDS


def _apart(contender: Callable[..., Any], shape: tuple[int, int, int]) -> dict[str, Any]:
    """Run a contender in a fresh process, so that its peak memory is its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(contender, shape, sender))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        process.join()
        msg = f"{contender.__name__} ended with exit code {process.exitcode}: perhaps it ran out of memory"
        raise RuntimeError(msg) from None
    process.join()
    return result


def _measure(contender: Callable[..., Any], shape: tuple[int, int, int], sender: Any) -> None:
    x, y, folds = make_problem(*shape)
    np.linalg.eigh(x[:100, :100] @ x[:100, :100].T)  # libraries load before the clock starts
    begin, used = time.perf_counter(), time.process_time()
    predict, alpha = contender(x, y, folds)
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row = {"seconds": round(seconds, 3), "core_seconds": round(used, 3), "peak_mb": round(peak_mb)}
    sender.send(row | {"alpha": alpha, "predicted": predict(x[:PROBE])})


def _ours(x: Any, y: Any, folds: Any) -> tuple[Callable[[Any], Any], float]:
    from calibration.model.ridge import fit_ridge

    fit = fit_ridge(x, y, folds, ALPHAS)
    return lambda rows: rows @ fit.weights + fit.intercept, fit.alpha


def _gridsearch(x: Any, y: Any, folds: Any) -> tuple[Callable[[Any], Any], float]:
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    search = GridSearchCV(Ridge(), {"alpha": ALPHAS}, cv=PredefinedSplit(folds), scoring="neg_mean_squared_error")
    search.fit(x, y)
    return search.predict, float(search.best_params_["alpha"])


def _ridgecv(x: Any, y: Any, _folds: Any) -> tuple[Callable[[Any], Any], float]:
    """Leave-one-out by scikit-learn's own shortcut; it takes no account of folds."""
    from sklearn.linear_model import RidgeCV

    fit = RidgeCV(ALPHAS).fit(x, y)
    return fit.predict, float(fit.alpha_)
