"""What every benchmark shares: contenders that take turns, medians with intervals, the machine, a table."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.report import PRINTED, Printed
from configs.files import write_whole


def percentiles(values: Iterable[float], digits: int = 2) -> dict[str, float]:
    """Return p50, p95, p99 and the maximum of `values`."""
    array = np.asarray(list(values), dtype=np.float64)
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    return {
        "p50": round(float(p50), digits),
        "p95": round(float(p95), digits),
        "p99": round(float(p99), digits),
        "max": round(float(array.max()), digits),
    }


SHARES = ("p50", "p95", "p99")
"""Percentiles by which two ways of running are compared."""


def print_ratios(title: str, column: str, times: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Print percentiles of two ways of running and their ratios, and return both.

    Parameters
    ----------
    title, column
        Of the table, and of its first column.
    times
        The times of each by name; the first is divided by the second.
    """
    found = {name: percentiles(values) for name, values in times.items()}
    one, other = found
    ratios = {share: round(found[one][share] / found[other][share], 3) for share in SHARES}
    rows = [(name, *(f"{row[key]:.2f}" for key in (*SHARES, "max"))) for name, row in found.items()]
    last = (f"{one} : {other}", *(f"{ratios[share]:.2f}" for share in SHARES), "")
    print_table(title, (column, *SHARES, "max"), [*rows, last])
    return {"times": found, "ratio": ratios}


def median_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """Return the median of `values` and its 95 % interval from order statistics, which assumes no distribution.

    With fewer than six values the interval is their whole range, which then covers less than 95 %.
    """
    array = np.sort(np.asarray(list(values), dtype=np.float64))
    n = len(array)
    reach = 0.98 * math.sqrt(n)  # half of 1.96 standard deviations of a binomial count with p = 1/2
    low, high = max(0, math.floor(n / 2 - reach)), min(n - 1, math.ceil(n / 2 + reach) - 1)
    return float(np.median(array)), float(array[low]), float(array[max(low, high)])


def interleaved(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time each contender once a round, every other round in reverse, so that a slow spell strikes all alike.

    Returns
    -------
    Microseconds of each call, in the order of the rounds; a first, untimed round warms up.
    """
    for contender in contenders.values():
        contender()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders.items())
    for _ in range(rounds):
        for name, contender in order:
            begin = time.perf_counter_ns()
            contender()
            times[name].append((time.perf_counter_ns() - begin) / 1e3)
        order.reverse()
    return times


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the ratios `theirs` : `ours` of the same rounds, with its interval."""
    return median_interval(b / a for a, b in zip(ours, theirs, strict=True))


def fitted_power(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent p of the power law ``value ~ size ** p`` fitted by least squares to the logarithms."""
    return float(np.polyfit(np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float)), 1)[0])


def machine() -> dict[str, Any]:
    """Describe the machine as far as a reader needs to compare numbers."""
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor()
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "commit": commit(),
    }


def commit() -> str | None:
    """Return the commit of this clone, shortened; None where there is no history."""
    command = ("git", "rev-parse", "--short", "HEAD")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip() or None


class Parts:
    """Results of a long benchmark in a folder, part by part, so that a run that is broken off goes on.

    What another commit measured, or a run of another size, is measured again.

    Parameters
    ----------
    folder
        Where they are kept; None keeps nothing.
    size
        What the run measures more or less of, in a word.
    """

    def __init__(self, folder: Path | None, size: str = "full") -> None:
        self._folder, self._size = folder, size

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return the part that is kept as `name`, measured now and kept where it is not there."""
        if self._folder is None:
            return measure()
        slug = re.sub("[^a-z0-9]+", "-", name.lower())
        file = self._folder / f"{slug}-{self._size}-{commit()}.json"
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(measure()))
        return json.loads(file.read_text(encoding="utf-8"))


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package, ``"absent"`` where there is none."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def memory_bandwidth(size: int = 1 << 28) -> float:
    """Return the bytes a second at which one core reads memory (best of five sums over `size` bytes)."""
    block = np.ones(size // 4, dtype=np.float32)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        block.sum()
        best = min(best, time.perf_counter() - start)
    return size / best


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold every BLAS and OpenMP library, torch's own pool included, to one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, the first column to the left and the others to the right, and keep it for the report."""
    kept = Printed(title, tuple(header), tuple(tuple(str(cell) for cell in row) for row in rows))
    PRINTED.append(kept)
    table = Table(title=title, title_justify="left")
    for position, name in enumerate(header):
        table.add_column(name, justify="left" if position == 0 else "right")
    for row in kept.rows:
        table.add_row(*row)
    console = Console(markup=False)
    if not console.is_terminal:
        console = Console(width=132, markup=False)
    console.print(table)
