"""From recordings to the electrodes' page: numbers, figures as PNG and SVG, and one HTML page with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from calibration.attributes import Attribute
from calibration.drawn import Drawn
from calibration.electrode_report import electrode_report
from calibration.fit import make_examples
from calibration.hierarchy_report import hierarchy_report
from calibration.mapping import Layout
from calibration.montage import Montage
from calibration.progress import Progress
from calibration.targets import Targets
from calibration.trials import Trials
from configs.schema import Config
from stimuli.pictures import PictureSet, open_pictures

PAGE = "electrodes.html"
_STYLE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.2rem; color: #1d2733;
  font: 15px/1.5 "DejaVu Sans", Verdana, sans-serif; }
h1 { font-size: 1.55rem; } figure { margin: 2rem 0; } figure img { max-width: 100%; }
table { border-collapse: collapse; } td, th { padding: .18rem 1.1rem .18rem 0; text-align: left; }
tr + tr { border-top: 1px solid #e4e8eb; } .simulated { background: #f6e3c5; padding: .4rem .9rem; }
.note { color: #5a6672; }
"""


def write_electrode_page(
    trials: Trials,
    targets: Targets,
    attributes: Sequence[Attribute],
    config: Config,
    folder: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the figures and ``electrodes.html`` into `folder` and return the numbers.

    Parameters
    ----------
    trials, targets
        What was recorded, and what each trial should decode to.
    attributes
        What the pictures differ in.
    config
        The session's settings.
    folder
        Where files go.
    progress
        Told what is being done, how many parts are done, and of how many.
    """
    examples = make_examples(trials, targets, config)
    layout = Layout.of(trials.times_s, config.window.start_s, config.window.baseline_s)
    times_s = trials.times_s - trials.delay_s
    channels = trials.spec.channels
    about = f"{'simulated EEG, ' if trials.simulated else ''}{len(channels)} electrodes, {trials.rate_hz:g} Hz"
    pictures: PictureSet | None = None if config.markers.classes else open_pictures(config.pictures)
    what = (examples, layout, times_s, channels, targets.gallery, attributes, config.fit)
    numbers, figures = electrode_report(*what, about=about, progress=progress)
    more, others = hierarchy_report(*what, pictures=pictures, about=about, progress=progress)
    drawn = figures + others
    for figure in drawn:
        figure.save(folder)
    path = folder / PAGE
    part = path.with_name(f"{PAGE}.part")
    part.write_text(_page(numbers, drawn, trials, Montage.of(channels).cannot_draw), encoding="utf-8")
    part.replace(path)
    return numbers | {"hierarchy": more}


def _page(numbers: dict[str, Any], drawn: Sequence[Drawn], trials: Trials, note: str | None) -> str:
    simulated = '<p class="simulated">The participant was simulated: no person\'s EEG is on this page.</p>'
    body = [
        "<h1>What each electrode tells, and when</h1>",
        simulated if trials.simulated else "",
        "" if note is None else f'<p class="note">{escape(note)}</p>',
        f"<p>{escape(_advice(numbers['choice']))}</p>",
        _table(numbers["electrodes"]["by_attribute"]),
        '<p class="note">An electrode tells what can be read from it. Its neighbours tell it too, and an attribute '
        "that goes with another in this set of pictures is told with it. Intervals are over pictures, with the maps "
        "as they are; p comes from shuffled labels with every map fitted again.</p>",
        *(
            f'<figure><img src="{figure.image}" alt="{escape(figure.title)}. {escape(figure.caption)}"></figure>'
            for figure in drawn
        ),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Electrodes</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{chr(10).join(body)}\n</body></html>\n"
    )


def _advice(choice: dict[str, Any]) -> str:
    """Say in words which few electrodes would do."""
    curve, everything = choice["curve"], choice["all"]
    if not curve or everything is None:
        return "No selection of electrodes could be scored."
    size = min(8, len(curve))
    score = curve[size - 1]
    return (
        f"Which {size} electrodes would do: {', '.join(choice['order'][:size])}. Chosen on training pictures alone, "
        f"{size} score {score['score']:.2f} (95 % interval {score['interval'][0]:.2f} to {score['interval'][1]:.2f}), "
        f"all {everything['n']} score {everything['score']:.2f}; chance is 0.5."
    )


def _table(rows: dict[str, dict[str, Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("attribute", "all electrodes, r", "told best by", "electrodes", "p"))
    lines = [f"<tr>{head}</tr>"]
    for name, row in rows.items():
        best = ", ".join(row["best"]) if row["electrodes_that_tell"] else "n/a"
        cells = (name, f"{row['all_electrodes_r']:.2f}", best, str(row["electrodes_that_tell"]), f"{row['p']:.3g}")
        lines.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return f"<table>{''.join(lines)}</table>"
