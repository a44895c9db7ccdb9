"""The maps' figures and their page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from calibration.maps.maps import AttributeMap, Maps
from calibration.progress import Progress
from calibration.report.figure import Drawn
from calibration.report.maps_figures import attribute_figures, explained
from calibration.report.page import figure, p_is, p_value, page, table
from configs.files import write_whole

PAGE = "maps.html"

_ABOUT = {
    "heads": "Head maps every 20 ms of the EEG as measured.",
    "filtered": "The same of the latent-filtered EEG: EEG → decoder → embedding → forward model → EEG, each fitted "
    "on other pictures. It shows what the decoder can use; full colour is still where the measured EEG is significant.",
    "winner": "Winner map: which level is the most negative at an electrode; small grey dots where nothing is certain.",
    "views": "Three views of the peak. Haufe's pattern is how the EEG varies with what the decoder reads.",
    "courses": "Left: the statistic at every electrode. Right: the levels at the electrodes that differ most; thick "
    "lines where significant.",
}
_NOTE = (
    "Each attribute is adjusted for the others, as far as they go together in a straight line. A cluster's p is about "
    "the cluster as a whole: it does not say when exactly a difference begins or how far it reaches. A map shows where "
    "an attribute can be seen at the scalp, not where in the brain it comes from. The control is the same test on "
    "windows that end when the picture appears."
)


def write_maps_page(
    maps: Maps, numbers: Mapping[str, Mapping[str, Any]], folder: Path, progress: Progress | None = None
) -> None:
    """Write all figures and ``maps.html`` into `folder`.

    Parameters
    ----------
    maps
        What is shown.
    numbers
        The headline numbers of each attribute, as `calibration.maps.map_recordings.Mapped.numbers` returns them.
    folder
        Where files go.
    progress
        Told what is being done, how many parts are done, and of how many.
    """
    overview = None if maps.model is None else explained(maps)
    figures: dict[str, dict[str, Drawn]] = {}
    for done, each in enumerate(maps.attributes):
        if progress is not None:
            progress(f"drawing {each.attribute.name}", done, len(maps.attributes))
        figures[each.attribute.name] = dict(attribute_figures(each, maps))
    for drawn in (overview, *(one for kinds in figures.values() for one in kinds.values())):
        if drawn is not None:
            drawn.save(folder)
    write_whole(folder / PAGE, render_page(maps, numbers, figures, overview))


def render_page(
    maps: Maps,
    numbers: Mapping[str, Mapping[str, Any]],
    figures: Mapping[str, Mapping[str, Drawn]],
    overview: Drawn | None,
) -> str:
    """Return the page as text: figures by attribute and kind, `overview` what the embedding explains."""
    lines = [line for line in (maps.montage.cannot_draw, *maps.left_out) if line is not None]
    made = f" of {maps.n_trials} trials" if maps.units == "pictures" else ""
    body = [
        f"<header><h1>What in the EEG carried the picture</h1><p>{maps.n_units} {maps.units}{made}, "
        f"{len(maps.montage.channels)} electrodes, {1e3 * maps.times_s[0]:.0f} to {1e3 * maps.times_s[-1]:.0f} ms "
        "after onset, filter delay taken out.</p></header>",
        *(f"<p class=note>{escape(line)}</p>" for line in lines),
        summary_table(numbers),
        f"<p class=note>{_NOTE}</p>",
        "" if overview is None else figure(overview.png, "What the embedding tells of the EEG, beside the ceiling."),
    ]
    for each in maps.attributes:
        body.append(f"<h2>{escape(each.attribute.name)}</h2><p>{escape(sentence(each, maps))}</p>")
        body += [figure(drawn.png, _ABOUT[kind]) for kind, drawn in figures.get(each.attribute.name, {}).items()]
    return page("Maps", body, maps.simulated)


def summary_table(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the headline numbers as an HTML table."""
    head = ("attribute", "peak", "electrodes", "cluster p", "before onset", "statistic", "variance explained, held out")
    rows = []
    for name, row in numbers.items():
        peak = "n/a" if row["peak_latency_ms"] is None else f"{row['peak_latency_ms']:.0f} ms"
        where = "n/a" if row["peak_channels"] is None else ", ".join(row["peak_channels"])
        ps = (p_value(row["cluster_p"]), p_value(row["pre_stimulus_cluster_p"]))
        rows.append((name, peak, where, *ps, row["statistic"], f"{100 * row['variance_explained']:.1f} %"))
    return table(head, rows)


def sentence(found: AttributeMap, maps: Maps) -> str:
    """Say in words what the map found."""
    p = f"cluster {p_is(found.test.p)}"
    if not found.significant:
        return f"Nothing significant (smallest {p}): the peaks below may be noise."
    time, channels = found.peak
    where = ", ".join(maps.montage.channels[place] for place in channels)
    return f"Most different {1e3 * maps.times_s[time]:.0f} ms after onset at {where} ({p})."
