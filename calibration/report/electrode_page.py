"""From recordings to the electrodes' page: numbers, figures as PNG and SVG, and one HTML page with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibration.data.targets import Targets
from calibration.data.trials import Trials
from calibration.maps.attributes import Attribute
from calibration.maps.montage import Montage
from calibration.model.examples import Layout, make_examples
from calibration.progress import Progress
from calibration.report.electrode_report import electrode_report
from calibration.report.figure import Drawn
from calibration.report.hierarchy_report import hierarchy_report
from calibration.report.page import p_value, page
from configs.files import write_whole
from configs.schema import Config
from realtime.processes.blas_threads import one_thread
from stimuli.picture_set import PictureSet
from stimuli.pictures import open_pictures

PAGE = "electrodes.html"


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
    with one_thread():
        numbers, figures = electrode_report(*what, about=about, progress=progress)
        more, others = hierarchy_report(*what, pictures=pictures, about=about, progress=progress)
    drawn = figures + others
    for one in drawn:
        one.save(folder)
    write_whole(folder / PAGE, _page(numbers, drawn, trials, Montage.of(channels).cannot_draw))
    return numbers | {"hierarchy": more}


def _page(numbers: dict[str, Any], drawn: Sequence[Drawn], trials: Trials, note: str | None) -> str:
    return page(
        "electrodes.html",
        simulated=trials.simulated,
        numbers=numbers,
        n_electrodes=len(trials.spec.channels),
        rate_hz=trials.rate_hz,
        note=note,
        advice=_advice(numbers["choice"]),
        rows=_rows(numbers["electrodes"]["by_attribute"]),
        drawn=drawn,
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


def _rows(rows: dict[str, dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            name,
            row["all_electrodes_r"],
            ", ".join(row["best"]) if row["electrodes_that_tell"] else "n/a",
            row["electrodes_that_tell"],
            p_value(row["p"]),
        )
        for name, row in rows.items()
    ]
