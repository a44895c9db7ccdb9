"""A real recording, one person with a four-electrode headband, fitted and replayed by the commands of the README.

The recordings are open but not part of the project: they lie beside it, in ``../shared/data``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, print_table
from configs.errors import InputError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "muse_n170"
PRESET = "muse_n170"
KEPT = ("auc", "auc_p", "auc_interval", "baseline_auc", "n_trials", "n_by_class", "refused")


def run() -> dict[str, Any]:
    """Fit three face and house runs and replay the fourth."""
    if not DATA.is_dir():
        msg = f"the real recordings are not in {DATA}"
        raise InputError(msg)
    with tempfile.TemporaryDirectory() as folder:
        out, runs = Path(folder), [DATA / f"run{number}.csv" for number in range(1, 5)]
        _perceptogram("fit", *runs[:3], "--config", PRESET, "--out", out / "bundle", "--no-report")
        bundle = ("--bundle", out / "bundle", "--config", PRESET)
        _perceptogram("replay", runs[3], *bundle, "--out", out / "replayed", "--no-render")
        return result_of(json.loads((out / "replayed" / "summary.json").read_text(encoding="utf-8")))


def result_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the benchmark's numbers from a replay's ``summary.json``, and print them."""
    result = {key: summary[key] for key in KEPT}
    rows = list(result.items())
    print_table("real EEG: faces against houses, run 4 by a map fitted on runs 1 to 3", ("figure", "value"), rows)
    return result | {"machine": machine()}


def _perceptogram(*arguments: object) -> None:
    command = [sys.executable, "-P", "-m", "perceptogram", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"perceptogram {arguments[0]} failed: {' '.join(done.stderr.split())}"
        raise InputError(msg)
