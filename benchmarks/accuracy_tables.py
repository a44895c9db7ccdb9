"""Measured tables of docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import markdown_rows, source


def recordings(results: Mapping[str, Any]) -> str:
    """Return each real set's scores beside the map by error and peers."""
    sets = _sets(results, real=True)
    peers = sorted({peer for one in sets for peer in one["peers"]})
    header = [
        "recording",
        "trials",
        "before onset",
        "by error",
        "ours",
        "95 %",
        "ours, epochs without artefacts",
        *peers,
    ]
    rows = [
        [
            _name(one), one["n_trials"], _score(one["before_onset"]), _score(one["today"]), _score(one["auc"]),
            f"{one['low']:.3f} to {one['high']:.3f}", _score(one["auc_clean"]),
            *(_score(one["peers"].get(peer)) for peer in peers),
        ]
        for one in sets
    ]  # fmt: skip
    return "\n".join([*markdown_rows(header, rows), "", f"Measured on {source(results['accuracy'])}."])


def curves(results: Mapping[str, Any]) -> str:
    """Return the scores of maps that learned from the first trials alone."""
    sets = _sets(results, real=True)
    counts = list(sets[0]["curve"])
    header = ["recording", *(f"{count}, {which}" for count in counts for which in ("by error", "ours"))]
    rows = [
        [_name(one), *(_score(one[which][count]) for count in counts for which in ("curve_today", "curve"))]
        for one in sets
    ]
    return "\n".join(markdown_rows(header, rows))


def simulated(results: Mapping[str, Any]) -> str:
    """Return the simulated participant's scores."""
    header = ["simulated EEG, trials", "two-way, by error", "by the angle", "ours"]
    header += ["right of 200, by error", "by the angle", "ours"]
    rows = [
        [
            one["name"].partition(", ")[2], _score(one["today"]), _score(one["by_angle"]), _score(one["two_way"]),
            _score(one["today_top1"]), _score(one["by_angle_top1"]), _score(one["top1"]),
        ]
        for one in _sets(results, real=False)
    ]  # fmt: skip
    return "\n".join(markdown_rows(header, rows))


def heads(results: Mapping[str, Any]) -> str:
    """Return how often the right one of 200 new pictures comes first, by the embedding and by the second output."""
    header = ["trials", "pictures", "embedding, by angle", "embedding, as chosen", "second output", "95 %"]
    header += ["difference, 95 %", "`auto` chooses"]
    rows = [
        [
            row["trials"], row["pictures"], _score(row["ridge_by_angle_top1"]), _score(row["ridge_top1"]),
            _score(row["contrastive_top1"]), f"{row['low']:.3f} to {row['high']:.3f}",
            "{:+.3f} to {:+.3f}".format(*row["difference_interval"]), f"`{row['chosen']}`",
        ]
        for row in results["heads"]["result"]["rows"]
    ]  # fmt: skip
    return "\n".join([*markdown_rows(header, rows), "", f"Measured on {source(results['heads'])}."])


def transfer(results: Mapping[str, Any]) -> str:
    """Return what sources give to real recordings, with none, 40 and 160 trials; people of one set as their mean."""
    rows = [row for row in _transferred(results) if not row["set"].startswith("simulated")]
    sizes = (40, 160)
    modes = ("within session", "cross", "naive pooling")
    header = ["recording", "no trials", "aligned"]
    header += [f"{size} {name}" for size in sizes for name in ("alone", "with sources", "pooled")]
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == name]
        cells = [_of(own, "cross", 0), _of(own, "cross", 0, aligned=True)]
        lines.append([f"`{name}`", *cells, *(_of(own, mode, size) for size in sizes for mode in modes)])
    return "\n".join([*markdown_rows(header, lines), "", f"Measured on {source(results['transfer'])}."])


def population(results: Mapping[str, Any]) -> str:
    """Return the two-way identification of the simulated people, on average."""
    rows = [row for row in _transferred(results) if row["set"].startswith("simulated")]
    header = [rows[0]["set"], *(f"{row['minutes']:g} min" for row in _first_of_each(rows, "trials"))]
    sizes = [row["trials"] for row in _first_of_each(rows, "trials")]
    lines = [
        [mode, *(next((_score(row["auc"]) for row in rows if (row["mode"], row["trials"]) == (mode, size)), "")
                 for size in sizes)]
        for mode in dict.fromkeys(row["mode"] for row in rows)
    ]  # fmt: skip
    return "\n".join(markdown_rows(header, lines))


def _transferred(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return rows in which people of one set are their mean."""
    from benchmarks.transfer import means

    rows = results["transfer"]["result"]["rows"]
    minutes = {row["trials"]: row["minutes"] for row in rows if "minutes" in row}
    found = [row | {"minutes": minutes.get(row["trials"])} for row in means(rows)]
    families = {row["set"].partition(", mean")[0] for row in found}
    return [row for row in rows if row["set"].partition(" person ")[0] not in families] + found


def _first_of_each(rows: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    return sorted({row[key]: row for row in rows}.values(), key=lambda row: float(row[key]))


def _of(rows: Sequence[Mapping[str, Any]], mode: str, size: int, *, aligned: bool = False) -> str:
    alike = [
        row for row in rows
        if row["mode"].startswith(mode) and row["trials"] == size and row["mode"].endswith(" aligned") == aligned
    ]  # fmt: skip
    return _score(alike[0]["auc"]) if alike else ""


def _sets(results: Mapping[str, Any], *, real: bool) -> Sequence[Mapping[str, Any]]:
    return [one for one in results["accuracy"]["result"]["sets"] if ("auc" in one) == real]


def _name(one: Mapping[str, Any]) -> str:
    folder, _, rest = one["name"].partition(", ")
    return f"`{folder}`, {rest}" if rest else f"`{folder}`"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
