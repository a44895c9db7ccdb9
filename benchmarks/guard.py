"""Is this tree slower than the commit before? ``python -m benchmarks.guard``, as CI runs it.

The two trees run side by side in processes of their own and take turns on the same small pieces of work, so a slow
machine slows both. What counts is the median of the ratios of neighbouring turns. It fails only where a piece takes
twice as long or more, and does so again with fresh processes; everything else is only told.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.guard_work import WORK
from benchmarks.harness import median_interval, print_table

HOUSE = Path(__file__).resolve().parents[1]
PAIRS = 15
PATIENCE_S = 12.0
"""Time for one piece of work, after which `FEWEST` pairs are enough."""
FEWEST = 5
LIMIT = 2.0
Turn = Callable[[str], dict[str, Any]]


def base_commit(given: str | None = None, house: Path = HOUSE) -> str | None:
    """Return the commit to compare with: `given`, else where the branch left ``origin/main``, else the one before."""
    head = _git(house, "rev-parse", "--verify", "--quiet", "HEAD")
    if given is not None:
        return _git(house, "rev-parse", "--verify", "--quiet", f"{given}^{{commit}}")
    fork = _git(house, "merge-base", "HEAD", "origin/main")
    return fork if fork not in (None, head) else _git(house, "rev-parse", "--verify", "--quiet", "HEAD~1")


def compare(new: Turn, old: Turn, names: Sequence[str] = tuple(WORK), pairs: int = PAIRS) -> dict[str, Any]:
    """Let both trees take turns at each piece of work.

    Returns
    -------
    For each piece the median of the ratios new : old with its 95 % interval, or the text of why there is none.
    """
    found: dict[str, Any] = {}
    for name in names:
        ratios, fault = [], ""
        begun = time.monotonic()
        for turn in range(pairs):
            if turn >= FEWEST and time.monotonic() - begun > PATIENCE_S:
                break
            first, second = (new, old) if turn % 2 else (old, new)
            one, other = first(name), second(name)
            mine, before = (one, other) if turn % 2 else (other, one)
            if "error" in mine or "error" in before:
                fault = f"now: {mine['error']}" if "error" in mine else f"before: {before['error']}"
                break
            ratios.append(mine["s"] / before["s"])
        found[name] = f"cannot be compared ({fault})" if fault else median_interval(ratios)
    return found


def slower(found: dict[str, Any], limit: float = LIMIT) -> list[str]:
    """Return the pieces of work whose median ratio is at or above `limit`."""
    return [name for name, ratio in found.items() if not isinstance(ratio, str) and ratio[0] >= limit]


def script_of(tree: Path, house: Path = HOUSE) -> Path:
    """Return the work as `tree` has it where only its imports differ, since modules move; else as it is here."""
    ours, theirs = (root / "benchmarks" / "guard_work.py" for root in (house, tree))
    return theirs if theirs.exists() and _work(theirs) == _work(ours) else ours


def _work(script: Path) -> list[str]:
    """Return the lines of a script that import nothing of ours."""
    lines = script.read_text(encoding="utf-8").splitlines()
    return [
        line for line in lines if not re.match(r"\s*from (configs|stimuli|realtime|calibration|perceptogram)\b", line)
    ]


@contextmanager
def turns_of(tree: Path) -> Iterator[Turn]:
    """Run the work of `tree` in a process of its own; the call does a piece once and returns the answer."""
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    command = [sys.executable, str(script_of(tree)), str(tree)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | single, cwd=tree
    ) as process:
        into, out = process.stdin, process.stdout
        assert into is not None
        assert out is not None

        def turn(name: str) -> dict[str, Any]:
            into.write(f"{name}\n")
            into.flush()
            line = out.readline()
            answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
            return answer

        try:
            yield turn
        finally:
            process.kill()


@contextmanager
def tree_of(commit: str, house: Path = HOUSE) -> Iterator[Path]:
    """Give the files of `commit` in a folder of their own."""
    packed = subprocess.run(["git", "archive", commit], cwd=house, capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=BytesIO(packed)) as files:
        files.extractall(folder, filter="data")
        yield Path(folder).resolve()


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and return 1 where a regression was seen twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", help="commit to compare with")
    given = parser.parse_args(arguments)
    base = base_commit(given.base)
    if base is None:
        print("guard: skipped, there is no earlier commit here to compare with")
        return 0
    with tree_of(base) as before:
        found = _both(before, tuple(WORK))
        suspects = slower(found)
        again = _both(before, tuple(suspects)) if suspects else {}
    confirmed = slower(again)
    print_table(
        f"this tree beside commit {base[:7]}, up to {PAIRS} pairs of turns (time now : time before)",
        ("work", "median", "95 % interval", "measured again"),
        [
            (name, ratio, "", "")
            if isinstance(ratio, str)
            else (
                name,
                f"{ratio[0]:.2f}",
                f"{ratio[1]:.2f} to {ratio[2]:.2f}",
                f"{again[name][0]:.2f}" if name in again and not isinstance(again[name], str) else "",
            )
            for name, ratio in found.items()
        ],
    )
    for name in confirmed:
        print(f"guard: {name} takes {again[name][0]:.1f} times as long as at {base[:7]} (limit {LIMIT:g})")
    return 1 if confirmed else 0


def _both(before: Path, names: Sequence[str]) -> dict[str, Any]:
    with turns_of(HOUSE) as new, turns_of(before) as old:
        return compare(new, old, names)


def _git(house: Path, *arguments: str) -> str | None:
    """Return what git prints; None where it fails or there is no git."""
    try:
        done = subprocess.run(("git", *arguments), cwd=house, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


if __name__ == "__main__":
    sys.exit(main())
