"""How long the command takes to answer ``--help``, and a script to import us, beside Python that does nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial
from typing import Any

from benchmarks.harness import interleaved, machine, print_table

PROGRAMS = {
    "python -c ''": "",
    "import perceptogram": "import perceptogram",
    "perceptogram --help": "import sys; sys.argv = ['perceptogram', '--help']; "
    "from perceptogram.__main__ import main; main()",
}


def run(quick: bool = False) -> dict[str, Any]:
    """Start each in turn, and print the medians in seconds, and as ratios to Python that does nothing.

    Parameters
    ----------
    quick
        Whether to start each three times, and not fifteen.
    """
    times = interleaved({name: partial(_start, code) for name, code in PROGRAMS.items()}, 3 if quick else 15)
    medians = {name: statistics.median(values) / 1e6 for name, values in times.items()}
    nothing = medians["python -c ''"]
    rows = [{"program": name, "s": round(s, 3), "ratio": round(s / nothing, 1)} for name, s in medians.items()]
    print_table("Starting", ("program", "s", "ratio"), [list(row.values()) for row in rows])
    return {"rows": rows, "machine": machine()}


def _start(code: str) -> None:
    subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True)


if __name__ == "__main__":
    run()
