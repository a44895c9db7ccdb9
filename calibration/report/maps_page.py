"""The maps' figures and their page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibration.maps.maps import AttributeMap, Maps
from calibration.progress import Progress
from calibration.report.figure import Drawn
from calibration.report.maps_figures import attribute_figures, explained
from calibration.report.page import p_is, p_value, page
from configs.files import write_whole

PAGE = "maps.html"


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
    """Return the maps' page as text.

    Parameters
    ----------
    maps
        The maps.
    numbers
        What was found of each attribute, by its name.
    figures
        Figures by attribute and kind.
    overview
        What the embedding explains of the EEG; None where it was not mapped.
    """
    return page(
        "maps.html",
        simulated=maps.simulated,
        maps=maps,
        notes=[line for line in (maps.montage.cannot_draw, *maps.left_out) if line is not None],
        rows=summary_rows(numbers),
        overview=overview,
        attributes=[
            (each.attribute.name, sentence(each, maps), figures.get(each.attribute.name, {}))
            for each in maps.attributes
        ],
    )


def summary_rows(numbers: Mapping[str, Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the headline numbers as rows of a table."""
    rows: list[tuple[Any, ...]] = []
    for name, row in numbers.items():
        peak = "n/a" if row["peak_latency_ms"] is None else f"{row['peak_latency_ms']:.0f} ms"
        where = "n/a" if row["peak_channels"] is None else ", ".join(row["peak_channels"])
        ps = (p_value(row["cluster_p"]), p_value(row["pre_stimulus_cluster_p"]))
        rows.append((name, peak, where, *ps, row["statistic"], f"{100 * row['variance_explained']:.1f} %"))
    return rows


def sentence(found: AttributeMap, maps: Maps) -> str:
    """Say in words what the map found."""
    p = f"cluster {p_is(found.test.p)}"
    if not found.significant:
        return f"Nothing significant (smallest {p}): the peaks below may be noise."
    time, channels = found.peak
    where = ", ".join(maps.montage.channels[place] for place in channels)
    return f"Most different {1e3 * maps.times_s[time]:.0f} ms after onset at {where} ({p})."
