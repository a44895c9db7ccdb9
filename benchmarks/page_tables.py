"""Measured tables of the pages under docs/, in their words: each takes the newest results and returns Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import markdown_rows, source

FAULTS = {
    "drop:1": "1 sample lost",
    "burst:0.3": "0.3 s of samples timestamped when sent, late",
    "jitter:0.002": "2 ms of jitter on each timestamp",
    "clock-step:0.5": "clock steps 0.5 s ahead",
    "clock-step:-0.5": "clock steps 0.5 s back",
    "unix": "timestamps turn into Unix time",
    "rate:0.01": "1 % fast from the start",
    "rate:-0.001": "0.1 % slow from the start",
    "rate:-0.01 later": "1 % slow from here",
    "rate:0.005 later": "0.5 % fast from here",
    "repeat:10": "10 samples sent twice",
    "nan:Cz+0.1": "NaN in a channel for 0.1 s",
    "railed:Cz": "a channel railed",
    "flat:Cz": "a channel flat",
    "unit:1e-6": "volts called microvolts",
    "missing:Cz": "a channel missing",
    "reordered": "channels in another order",
    "marker-lost:2": "2 markers lost",
    "marker-late:1": "markers 1 s late",
    "stall:1.5": "amplifier silent for 1.5 s",
    "restart:1.5": "restart, same source id",
    "restart-without-id:1.5": "restart, no source id",
    "duplicate-id": "a twin with the same id",
    "duplicate-id later": "a twin appears",
}
"""What the fault benchmark's rows are called in the docs."""
STAGES = {
    "onset_to_marker_ms": "picture flipped → its marker is here",
    "last_sample_to_arrival_us": "last sample timestamped → here",
    "last_sample_to_embedding_us": "here → embedding",
    "embedding_to_first_picture_ms": "embedding → first preview",
    "embedding_to_final_picture_ms": "embedding → final picture",
    "final_picture_to_shown_ms": "final picture → on the (virtual) screen",
    "last_sample_to_shown_ms": "last sample timestamped → on the screen",
}


def faults(results: Mapping[str, Any]) -> str:
    """Return each fault with what became of it, beside what the peers made of it."""
    result = results["faults"]["result"]
    header = ["fault", "told after", "timestamp error, ms", "wrong epochs", "retracted", "right again, s"]
    for peer in ("pyxdf", "mne-lsl"):
        header += [f"{peer}: wrong", "ms"]
    rows = []
    for row in result["faults"]:
        told = f"{row['delay_s']:.2f} s" if row["detected"] else "no"
        cells = [_fault(row), told, _ms(row["stamp_error_ms"]), _wrong(row), row["retracted"] or ""]
        cells.append("–" if row["recovery_s"] is None else f"{row['recovery_s']:.1f}")
        for peer in ("pyxdf", "mne-lsl"):
            beside = [r for r in result["peers"] if r["system"].startswith(peer) and r["name"] == row["name"]]
            cells += [_wrong(beside[0]), _ms(beside[0]["stamp_error_ms"])] if beside else ["–", "–"]
        rows.append(cells)
    return _with_source("faults", results, markdown_rows(header, rows))


def families(results: Mapping[str, Any]) -> str:
    """Return what becomes of random streams, one row a family, and one for those that went over LSL."""
    name = "families" if "families" in results else "faults"
    result = results[name]["result"]
    if "families" not in result:
        return "Not yet measured here: `perceptogram bench faults`."
    header = ["family", "streams", "wrong epochs", "refused far from any fault", "false alarms", "an hour"]
    header += ["lost samples counted exactly", "failed"]
    sections = [results[of]["result"] for of in ("live-families", name) if of in results]
    live = [section["live"] for section in sections if "live" in section][:1]
    rows = [
        [
            row.get("about", row["name"]),
            row["streams"],
            f"{row['wrong']} of {row['accepted']}",
            f"{row['refused_far']} of {row['far']}",
            row["false_alarms"],
            row["false_alarms_an_hour"],
            f"{row['lost_exact']} of {row['with_losses']}" if row["with_losses"] else "–",
            row["crashed"],
        ]
        for row in [*result["families"], *live]
    ]
    return _with_source(name, results, markdown_rows(header, rows), f"Seeds: {result['seeds']}.")


def operating_curve(results: Mapping[str, Any]) -> str:
    """Return what the margin of the time axis trades: epochs that are wrong for epochs that are refused."""
    name = "families" if "families" in results else "faults"
    result = results[name]["result"]
    if "operating_curve" not in result:
        return "Not yet measured here: `perceptogram bench faults`."
    header = ["margin", "streams", "epochs", "wrong in 10,000", "refused far from any fault, %"]
    header += ["lost samples counted exactly"]
    return _with_source(name, results, markdown_rows(header, [list(row.values()) for row in result["operating_curve"]]))


def holes(results: Mapping[str, Any]) -> str:
    """Return how many holes are found in each kind of stream, and what is found in clean ones."""
    result = results["faults"]["result"]
    header = ["sender", "holes", "found", "count exact", "told after, median and 95 %"]
    header += ["false alarms in 10 clean minutes", "largest timestamp error, ms"]
    rows = [
        [
            *(hole[key] for key in ("about", "holes", "found", "count_exact")),
            f"{hole['delay_p50_s']:.2f} s, {hole['delay_p95_s']:.2f} s",
            clean["false_alarms"],
            _ms(clean["stamp_error_max_ms"]),
        ]
        for hole, clean in zip(result["holes"], result["clean"], strict=True)
    ]
    return "\n".join(markdown_rows(header, rows))


def stream_soak(results: Mapping[str, Any]) -> str:
    """Return what ten minutes of random faults came to, as printed."""
    lines = markdown_rows(("figure", "value"), results["stream-soak"]["tables"][0]["rows"], numbers=False)
    return _with_source("stream-soak", results, lines)


def session_soak(results: Mapping[str, Any]) -> str:
    """Return what memory a whole session took, as printed."""
    return _with_source("session-soak", results, _printed(results["session-soak"]))


def kill_matrix(results: Mapping[str, Any]) -> str:
    """Return what killing the parts of a session costs, as printed."""
    return _with_source("kill-matrix", results, _printed(results["kill-matrix"]))


def _printed(section: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for table in section["tables"]:
        lines += [*([""] if lines else []), f"{table['title']}:", "", *markdown_rows(table["header"], table["rows"])]
    return lines


def stopping(results: Mapping[str, Any]) -> str:
    """Return how many looks a session needs that stops when it is sure."""
    result = results["session"]["result"]
    header = ["stop at confidence", "right", "looks, mean", "looks of a fixed schedule that is right as often"]
    rows = [
        [
            f"{row['sure']:.0%}",
            f"{row['accuracy']:.3f}",
            f"{row['looks']:.1f}",
            "8 or more" if row["fixed_looks"] is None else f"{row['fixed_looks']:.1f}",
        ]
        for row in result["closed_loop"]
    ]
    said = (
        f"Eight looks at every picture are right for {result['top1_by_repeats']['8']:.3f} of them; stopping is judged "
        "over twenty orders of the same looks. The confidence's expected calibration error over these "
        f"{result['n_pictures']} pictures is {result['calibration_error']:.2f}."
    )
    return "\n".join([*markdown_rows(header, rows), "", said])


def looks(results: Mapping[str, Any]) -> str:
    """Return what repeats add, live and offline, and where the pre-stimulus window lies."""
    result = results["session"]["result"]
    rows = [
        [n, _interval(live), _interval(result["offline_two_way_by_repeats"][n]), f"{result['top1_by_repeats'][n]:.2f}"]
        for n, live in result["two_way_by_repeats"].items()
    ]
    control = _interval({"two_way": result["pre_stimulus_two_way"], "interval": result["pre_stimulus_interval"]})
    lines = markdown_rows(["looks", "two-way, live", "two-way, offline", "right of 20, live"], rows)
    return "\n".join(
        [
            *lines,
            "",
            f"Pre-stimulus windows are at {control}. Chance is 0.50 for two-way and 0.05 of 20. Intervals hold 95 %.",
        ]
    )


def stages(results: Mapping[str, Any]) -> str:
    """Return what each stage of a live session takes."""
    result = results["session"]["result"]
    rows = []
    for name, about in STAGES.items():
        scale = 1e-3 if name.endswith("_us") else 1.0
        rows.append([about, *(f"{scale * result['stages'][name][quantile]:.1f}" for quantile in ("p50", "p95", "p99"))])
    said = f"{result['live_trials']} trials, {result['lost_samples']} samples lost."
    return _with_source("session", results, markdown_rows(["stage", "p50 ms", "p95 ms", "p99 ms"], rows), said)


def right(results: Mapping[str, Any]) -> str:
    """Return how right the maps of a simulated participant are."""
    found = results["maps"]["tables"][0]
    header = ["attribute", "topography, r with what was simulated", "latency, ms", "true", "cluster p"]
    rows = [
        [name, f"{float(r):.2f}", f"{float(latency):.0f}", f"{float(true):.0f}", f"{float(p):.3f}"]
        for name, r, latency, true, p, *_ in found["rows"]
    ]
    return _with_source("maps", results, markdown_rows(header, rows))


def replayed(results: Mapping[str, Any]) -> str:
    """Return how well a run that was replayed is told apart, in a sentence."""
    one = results["real-eeg"]["result"]
    low, high = one["auc_interval"]
    return (
        f"Fitted on three runs, the fourth ({one['n_trials']} trials) is told apart, single trial, with an AUC of "
        f"{one['auc']:.2f}\n(95 % interval {low:.2f} to {high:.2f}, permutation p {one['auc_p']:.4f}), and with "
        f"{one['baseline_auc']:.2f} from the window before the picture."
    )


def presets(results: Mapping[str, Any]) -> str:
    """Return what the presets of real recordings give, a column each."""
    found = results["real-maps"]["result"]["scores"]
    rows = [
        ["runs, trials", *(_trials(one) for one in found.values())],
        ["AUC, one run left out at a time, single trials", *(f"{one['auc']:.3f}" for one in found.values())],
        ["95 % interval", *("{:.3f} to {:.3f}".format(*one["auc_interval"]) for one in found.values())],
        ["by run", *(", ".join(f"{auc:.2f}" for auc in one["auc_by_fold"]) for one in found.values())],
        ["p", *(f"{one['auc_p']:.3f}" for one in found.values())],
        ["the same before onset", *(f"{one['baseline_auc']:.3f}" for one in found.values())],
        ["trials refused, flagged", *(f"{one['refused']}, {one['n_flagged']}" for one in found.values())],
    ]
    header = ["", *(f"`{name}`: {' or '.join(one['classes'])}" for name, one in found.items())]
    return _with_source("real-maps", results, markdown_rows(header, rows, numbers=False))


def _trials(one: Mapping[str, Any]) -> str:
    counts = " + ".join(map(str, one["n_by_class"]))
    return f"{len(one['auc_by_fold'])}, {one['n_trials']} ({counts})"


def n170(results: Mapping[str, Any]) -> str:
    """Return where and when faces differ from houses in a real recording."""
    found = results["real-maps"]["result"]["n170"]
    header = ["faces against houses", "first more negative", "then more positive", "then more negative"]
    rows = [
        [electrode, *(f"{abs(one['uv']):.1f} µV at {one['ms']:.0f} ms" for one in peaks.values())]
        for electrode, peaks in found["peaks"].items()
    ]
    runs, waves, (least, largest, usual) = found["first_by_run_ms"], found["before_ms"], found["steps_ms"]
    said = (
        f"{found['n_units']} trials ({found['counts']['house']} houses, {found['counts']['face']} faces); cluster p "
        f"{_p(found)}, and {found['before_p']:.3f} in the window before onset. The mean of both electrodes is first "
        f"most negative after {min(runs):.0f} to {max(runs):.0f} ms in each run by itself; the positive wave before "
        f"comes after {waves['house']:.0f} ms for houses and {waves['face']:.0f} ms for faces. The "
        f"filters' delay of {found['delay_ms']} ms is taken out. From one sample to the next timestamps step by "
        f"{least:g} to {largest:g} ms, where {usual:g} would be even."
    )
    return _with_source("real-maps", results, markdown_rows(header, rows), said)


def _p(found: Mapping[str, Any]) -> str:
    return f"{found['cluster_p']:.3f} (of {found['permutations']:,} orders)"


def texture(results: Mapping[str, Any]) -> str:
    """Return how a low spatial frequency differs from a high one in a real recording, scores beside it."""
    result = results["real-maps"]["result"]
    header = ["low against high spatial frequency", "trials", "cluster p", "before onset", "largest difference"]
    rows = [
        [name, one["n_units"], _p(one), f"{one['before_p']:.3f}", f"{one['at_ms']} ms, {one['electrode']}"]
        for name, one in result["texture"].items()
    ]
    score = result["scores"]["muse_spatial_freq"]
    low, high = score["auc_interval"]
    said = (
        f"Single trials, each recording by a map of the others: AUC {score['auc']:.3f} ({low:.3f} to {high:.3f}), "
        f"p {score['auc_p']:.3f}; {score['baseline_auc']:.3f} before onset."
    )
    return _with_source("real-maps", results, markdown_rows(header, rows), said)


def photographs(results: Mapping[str, Any]) -> str:
    """Return what was found of attributes of photographs that were seen once each."""
    found = results["real-maps"]["result"]["faces"]
    rows = [[name, f"{one['cluster_p']:.3f}", f"{one['before_p']:.3f}"] for name, one in found["attributes"].items()]
    lines = markdown_rows(["attribute", "cluster p", "before onset"], rows)
    return _with_source("real-maps", results, lines, f"{found['n_units']} photographs.")


def lost(results: Mapping[str, Any]) -> str:
    """Return what electrodes cost that die, or that another cap lacks."""
    found = results["degrade"]["result"]
    keys = ("ours", "expected", "splines", "zeros", "refit")
    header = ["64 electrodes, lost", "two-way", "expected", "by splines", "by zeros", "map fitted anew"]
    rows = [
        [f"{one['electrodes']}{one['which'] and ', ' + one['which']}", *(f"{one[key]:.3f}" for key in keys)]
        for one in found["lost"]
    ]
    of_caps = [
        [one["cap"], *(f"{one[key]:.3f}" for key in ("ours", "expected", "refit", "own"))] for one in found["caps"]
    ]
    caps = markdown_rows(["bundle and stream", "two-way", "expected", "map of that cap", "on its own cap"], of_caps)
    load = results["degrade"]["machine"]["load"]
    said = f"Weights of 64 × 250 × 1,024 are made in {found['swap_ms']:.0f} ms, at a load of {load:.1f}."
    if "runs" in found:
        said += " The parts were measured one by one; the results say at which commit."
    if found["n170"]:
        mean = found["n170"][-1]
        said += (
            f" A real headband (`muse_n170`), one of its four electrodes flat, mean of the four: AUC {mean['ours']:.3f}"
            f", {mean['splines']:.3f} by splines, {mean['zeros']:.3f} by zeros, {mean['refit']:.3f} fitted anew; "
            f"{mean['all']:.3f} with all four."
        )
    return _with_source("degrade", results, [*markdown_rows(header, rows), "", *caps], said)


def _with_source(name: str, results: Mapping[str, Any], lines: Sequence[str], said: str = "") -> str:
    return "\n".join([*lines, "", f"{said} Measured on {source(results[name])}.".strip()])


def _fault(row: Mapping[str, Any]) -> str:
    """Return the name of a fault in words; one that has none yet keeps its own."""
    kind, _, size = row["name"].partition(":")
    words = FAULTS.get(row["name"], f"{size} lost" if kind == "drop" else row["name"])
    return f"{words} (live)" if row.get("live") else words


def _wrong(row: Mapping[str, Any]) -> str:
    return f"{row['wrongly_accepted']} of {row['accepted']}" if row["accepted"] is not None else "–"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}" if value >= 1e5 else f"{value:.4g}"


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["interval"]
    return f"{row['two_way']:.2f} ({low:.2f} to {high:.2f})"
