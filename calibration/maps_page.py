"""The maps on one HTML page that needs nothing but itself, and as a section of the calibration report."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path

from calibration.maps import AttributeMap, Maps

_CSS = """
:root { color: #1d2733; background: #fff; font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.55rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.6rem 0 .4rem; }
p { max-width: 52rem; } .note { color: #5a6672; }
.simulated { background: #f6e3c5; padding: .4rem .9rem; max-width: none; }
figure { margin: 1rem 0; } figure img { max-width: 100%; } figcaption { color: #5a6672; font-size: .85rem; }
table { border-collapse: collapse; } td, th { padding: .18rem 1.1rem .18rem 0; text-align: left; }
tr + tr { border-top: 1px solid #e4e8eb; }
"""

_ABOUT = {
    "heads": "Head maps every 20 ms of the EEG as measured.",
    "filtered": "The same of the latent-filtered EEG: EEG → decoder → embedding → forward model → EEG, each fitted "
    "on other pictures. It shows what the decoder can use; full colour is still where the measured EEG is significant.",
    "winner": "Winner map: which level is the most negative at an electrode; small grey dots where nothing is certain.",
    "views": "Three views of the peak. Haufe's pattern is how the EEG varies with what the decoder reads.",
    "courses": "Left: the statistic at every electrode. Right: the levels at the electrodes that differ most; thick "
    "lines where significant.",
}


def write_page(maps: Maps, figures: Mapping[str, Mapping[str, bytes]], overview: bytes | None, path: Path) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    maps
        What is shown.
    figures
        PNG images by attribute and kind, as `calibration.maps_figures.save_figures` returns them.
    overview
        PNG of what the embedding explains.
    path
        The HTML file.
    """
    part = path.with_name(path.name + ".part")
    part.write_text(render_page(maps, figures, overview), encoding="utf-8")
    part.replace(path)


def render_page(maps: Maps, figures: Mapping[str, Mapping[str, bytes]], overview: bytes | None) -> str:
    """Return the page as text; parameters are those of `write_page`."""
    simulated = '<p class="simulated">The participant was simulated: no person\'s EEG is on this page.</p>'
    lines = [line for line in (maps.montage.cannot_draw, *maps.left_out) if line is not None]
    made = f" of {maps.n_trials} trials" if maps.units == "pictures" else ""
    body = [
        f"<h1>What in the EEG carried the picture</h1><p>{maps.n_units} {maps.units}{made}, "
        f"{len(maps.montage.channels)} electrodes, {1e3 * maps.times_s[0]:.0f} to {1e3 * maps.times_s[-1]:.0f} ms "
        f"after onset, filter delay taken out.</p>{simulated if maps.simulated else ''}",
        *(f"<p class=note>{escape(line)}</p>" for line in lines),
        summary_table(maps),
        "<p class=note>Each attribute is adjusted for the others, as far as they go together in a straight line. A "
        "cluster's p is about the cluster as a whole: it does not say when exactly a difference begins or how far it "
        "reaches. A map shows where an attribute can be seen at the scalp, not where in the brain it comes from.</p>",
        "" if overview is None else _figure(overview, "What the embedding tells of the EEG, beside the noise ceiling."),
    ]
    for each in maps.attributes:
        body.append(f"<h2>{escape(each.attribute.name)}</h2><p>{escape(sentence(each, maps))}</p>")
        drawn = figures.get(each.attribute.name, {})
        body += [_figure(image, _ABOUT[kind]) for kind, image in drawn.items()]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Maps</title>'
        f"<style>{_CSS}</style></head>\n<body>\n{chr(10).join(body)}\n</body></html>\n"
    )


def summary_table(maps: Maps) -> str:
    """Return the headline numbers as an HTML table."""
    head = ("attribute", "peak", "electrodes", "cluster p", "statistic", "variance explained at the peak, held out")
    rows = ["<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>"]
    for name, row in maps.numbers().items():
        peak = "n/a" if row["peak_latency_ms"] is None else f"{row['peak_latency_ms']:.0f} ms"
        where = "n/a" if row["peak_channels"] is None else ", ".join(row["peak_channels"])
        share = f"{100 * row['variance_explained']:.1f} %"
        cells = (name, peak, where, f"{row['cluster_p']:.3g}", row["statistic"], share)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(rows)}</table>"


def sentence(found: AttributeMap, maps: Maps) -> str:
    """Say in words what the map found."""
    if not found.significant:
        return f"Nothing significant (smallest cluster p = {found.test.p:.3g}): the peaks below may be noise."
    time, channels = found.peak
    where = ", ".join(maps.montage.channels[place] for place in channels)
    return f"Most different {1e3 * maps.times_s[time]:.0f} ms after onset at {where} (cluster p = {found.test.p:.3g})."


def report_section(folder: Path) -> str:
    """Return a section for a report that stands beside the folder ``maps``; empty where no maps were made."""
    if not (folder / "maps" / "maps.html").is_file():
        return ""
    return (
        '<h2>Maps</h2><p>Which electrodes, and when, carried what the pictures differ in: <a href="maps/maps.html">'
        "maps/maps.html</a>.</p>"
    )


def _figure(png: bytes, about: str) -> str:
    text = escape(about)
    image = base64.b64encode(png).decode()
    return f'<figure><img src="data:image/png;base64,{image}" alt="{text}"><figcaption>{text}</figcaption></figure>'
