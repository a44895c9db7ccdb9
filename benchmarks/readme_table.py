"""Measured tables in README.md and docs/, from the results: ``python -m benchmarks.readme_table [--check]``.

Each stands between two comments, of which the first names it; everything outside them is left alone. What nobody has
measured is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import accuracy_tables, page_tables
from benchmarks.report import markdown_rows, newest, source
from configs.files import write_whole

HOUSE = Path(__file__).resolve().parents[1]
README = HOUSE / "README.md"
BEGIN, END = "<!-- measured {}: written by benchmarks/readme_table.py -->", "<!-- /measured -->"


def _decode(r: Mapping[str, Any]) -> tuple[str, str]:
    what = f"last sample → embedding, 64 channels × 250 samples → 1,024, {r['epochs']:,} epochs"
    return what, (
        f"p50 {r['p50_us']:.0f} µs, p99 {r['p99_us']:.0f} µs; the product of the whole epoch "
        f"{r['whole_epoch_p50_us']:,.0f} µs ({r['speedup']:.0f} ×)"
    )


def _end_to_end(r: Mapping[str, Any]) -> tuple[str, str]:
    free = {row["receiver"]: row for row in r["rows"] if not row["load"]}
    said = "; ".join(f"{name} {row['ms']['p50']:.1f} / {row['ms']['p99']:.1f}" for name, row in free.items())
    return f"LSL push → embedding in another process, {r['channels']} channels (p50 / p99 ms)", said


def _throughput(r: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"{r['channels']} channels at {r['rate_hz']:,.0f} Hz over LSL, {r['seconds']:.0f} s",
        f"{r['lost']} samples lost, {r['core_fraction']:.2f} cores, {r['push_to_chunk_p50_ms']:.1f} ms to the session",
    )


def _fit(r: Mapping[str, Any]) -> tuple[str, str]:
    trials, features, targets = r["shape"]
    return (
        f"ridge, {trials:,} × {features:,} → {targets:,}, {r['folds']} folds × {len(r['alphas'])} alphas",
        f"{r['seconds']:.0f} s, {r['peak_mb'] / 1024:.1f} GB; "
        f"GridSearchCV(Ridge) {r['sklearn_gridsearch_seconds']:.0f} s, RidgeCV {r['sklearn_ridgecv_seconds']:.0f} s",
    )


def _reading(r: Mapping[str, Any]) -> tuple[str, str]:
    took = " s, ".join(f"{name} {value[0]:.2f}" for name, value in r["seconds"].items())
    return (
        f"reading {r['recording_s'] / 60:.0f} min of a recording for a fit, pre-stimulus windows included",
        f"{took} s (ratio {r['ratio'][0]:.2f})",
    )


def _faults(r: Mapping[str, Any]) -> tuple[str, str]:
    holes = sum(row["holes"] for row in r["holes"])
    found = sum(row["found"] for row in r["holes"])
    wrong = sum(row["wrongly_accepted"] for row in r["faults"])
    return (
        f"holes of 1 to 500 samples in {len(r['holes'])} kinds of stream",
        f"{found} of {holes} found, {r['false_alarms']} false alarms; {wrong} epochs over a fault accepted",
    )


def _interference(r: Mapping[str, Any]) -> tuple[str, str]:
    return (
        "decode latency beside a busy renderer : beside an idle one",
        f"p50 {r['ratio']['p50']:.2f}, p99 {r['ratio']['p99']:.2f}",
    )


def _maps(r: Mapping[str, Any]) -> tuple[str, str]:
    false = r["false_positives"]
    return (
        f"maps of class, hue and texture beside what was simulated, {r['simulated_minutes']:.0f} minutes",
        f"topographies r ≥ {r['topography_r']:.2f}, latencies within {r['latency_error_ms']:.0f} ms; "
        f"{100 * false['rate']:.1f} % found at p ≤ {false['nominal']:g} where nothing was; {r['seconds']:.0f} s",
    )


def _multi_room(r: Mapping[str, Any]) -> tuple[str, str]:
    row = r["rows"][0]
    return (
        f"{r['rooms']} sessions (simulated participants) share {row['workers']} remote workers",
        f"{row['painted']} of {row['asked']} pictures, p50 {row['request_to_picture_ms']['p50']:.0f} ms, "
        f"{row['messages_s']:.0f} messages/s",
    )


def _real_eeg(r: Mapping[str, Any]) -> tuple[str, str]:
    return (
        f"real EEG, one person, 4 electrodes: faces against houses, {r['n_trials']} trials of a new run",
        f"AUC {r['auc']:.2f}, p {r['auc_p']:.4f}; {r['baseline_auc']:.2f} before the picture",
    )


def _accuracy(r: Mapping[str, Any]) -> tuple[str, str]:
    one = r["sets"][0]
    return (
        f"real EEG, `{one['name']}`, {one['n_trials']} single trials, each run by a map of the others",
        f"AUC {one['auc']:.3f} ({one['low']:.3f} to {one['high']:.3f}); alpha by squared error {one['today']:.3f}",
    )


CLAIMS: dict[str, Callable[[Mapping[str, Any]], tuple[str, str]]] = {
    "decode": _decode,
    "end-to-end": _end_to_end,
    "throughput": _throughput,
    "faults": _faults,
    "fit": _fit,
    "reading": _reading,
    "maps": _maps,
    "real-eeg": _real_eeg,
    "accuracy": _accuracy,
    "interference": _interference,
    "multi-room": _multi_room,
}


def table(results: Mapping[str, Any]) -> str:
    """Return the table in Markdown, with under it the machines and days that the numbers come from."""
    rows = [
        (*claim(results[name]["result"]), f"`perceptogram bench {name}`")
        for name, claim in CLAIMS.items()
        if name in results
    ]
    pages: dict[str, str] = {}
    for name in CLAIMS:
        if name in results:
            told = results[name]
            pages[told["page"]] = f"[{source(told)}](benchmarks/results/{told['page']})"
    lines = markdown_rows(("measured", "result", "command"), rows, numbers=False)
    return "\n".join([*lines, "", f"Measured on {'; '.join(pages.values())}."]) if rows else "Nothing measured yet."


def rooms(results: Mapping[str, Any]) -> str:
    """Return the tables of the eight sessions as they were printed, and where and when that was."""
    told = results["multi-room"]
    lines = [f"{source(told)}:"]
    for one in told["tables"]:
        lines += ["", f"{one['title']}:", "", *markdown_rows(one["header"], one["rows"])]
    return "\n".join(lines)


Maker = Callable[[Mapping[str, Any]], str]
PAGES: dict[Path, dict[str, tuple[str, Maker]]] = {
    README: {"claims": ("", table), "replayed": ("real-eeg", page_tables.replayed)},
    HOUSE / "docs" / "accuracy.md": {
        "recordings": ("accuracy", accuracy_tables.recordings),
        "curves": ("accuracy", accuracy_tables.curves),
        "simulated": ("accuracy", accuracy_tables.simulated),
        "heads": ("heads", accuracy_tables.heads),
        "transfer": ("transfer", accuracy_tables.transfer),
        "population": ("transfer", accuracy_tables.population),
    },
    HOUSE / "docs" / "maps.md": {
        "right": ("maps", page_tables.right),
        "n170": ("real-maps", page_tables.n170),
        "texture": ("real-maps", page_tables.texture),
        "faces": ("real-maps", page_tables.photographs),
    },
    HOUSE / "docs" / "calibration.md": {"presets": ("real-maps", page_tables.presets)},
    HOUSE / "docs" / "scaling.md": {"rooms": ("multi-room", rooms)},
    HOUSE / "docs" / "faults.md": {
        "faults": ("faults", page_tables.faults),
        "holes": ("faults", page_tables.holes),
        "soak": ("stream-soak", page_tables.stream_soak),
        "session-soak": ("session-soak", page_tables.session_soak),
        "kills": ("kill-matrix", page_tables.kill_matrix),
    },
    HOUSE / "docs" / "time_axis.md": {
        "families": ("faults", page_tables.families),
        "curve": ("faults", page_tables.operating_curve),
    },
    HOUSE / "docs" / "sessions.md": {
        "stopping": ("session", page_tables.stopping),
        "looks": ("session", page_tables.looks),
        "stages": ("session", page_tables.stages),
        "lost": ("degrade", page_tables.lost),
    },
}
"""By page and name of the place: the benchmark that it needs, and what makes its text."""


def put(page: str, name: str, new: str) -> str:
    """Return `page` with `new` at the place called `name`.

    Raises
    ------
    ValueError
        If the place is not marked, once, by its two comments.
    """
    begin = BEGIN.format(name)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(END)
    if not found or not closed or begin in rest:
        msg = f"the place of a table is not marked: write {begin} and {END} on lines of their own around it"
        raise ValueError(msg)
    return f"{before}{begin}\n\n{new}\n\n{END}{after}"


def written(page: str, places: Mapping[str, tuple[str, Maker]], results: Mapping[str, Any]) -> str:
    """Return `page` with all its tables made of `results`.

    Raises
    ------
    ValueError
        If a place is not marked.
    """
    for name, (benchmark, made) in places.items():
        known = not benchmark or benchmark in results
        page = put(page, name, made(results) if known else f"Not yet measured here: `perceptogram bench {benchmark}`.")
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, or with ``--check`` return 1 where a page's is another; 2 where a page has no place for one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a table would change")
    check = parser.parse_args(arguments).check
    results, status = newest(), 0
    for file, places in PAGES.items():
        page = file.read_text(encoding="utf-8")
        try:
            new = written(page, places, results)
        except ValueError as error:
            print(f"{file.name}: {error}", file=sys.stderr)
            status = 2
            continue
        if check and new != page:
            print(f"{file.name}: its measured table is not of the results: python -m benchmarks.readme_table makes it")
            status = status or 1
        elif not check and new != page:
            write_whole(file, new)
    return status


if __name__ == "__main__":
    sys.exit(main())
