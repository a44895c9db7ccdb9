"""The fit of what a calibration session recorded, with what could bias its score written beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from calibration.data.sources import EarlierBundle
from configs.schema import Config
from perceptogram.calibrate.folder import CalibrationFolder, read_usable
from perceptogram.calibrate.run import Ending
from perceptogram.calibrate.view import View
from stimuli.presenter import summarise
from stimuli.sequence import Plan

if TYPE_CHECKING:
    from calibration.data.photodiode import Timing
    from calibration.fit import Fit


def fit_folder(
    config: Config,
    folder: CalibrationFolder,
    planned: Plan,
    ending: Ending,
    timing: Timing | None,
    view: View,
    *,
    report: bool = True,
    sources: Sequence[EarlierBundle] = (),
) -> Fit:
    """Fit the map on all that was recorded; write the bundle, with its report where that is wanted.

    What could bias the score is written beside it: that the session ended because the score was high, and how the
    pictures' timing was.

    Parameters
    ----------
    config, folder
        The settings, and where the recordings lie and the bundle goes.
    planned, ending, timing
        The whole plan, how the session ended, and how light followed the markers where it was measured.
    view
        What the experimenter sees of it.
    report
        Whether to write the report as well.
    sources
        Earlier bundles that the map starts from.

    Raises
    ------
    FitError
        If the recordings do not hold what a map can be learned from.
    """
    from calibration.fit import fit_recordings
    from calibration.report.calibration_report import write_report
    from stimuli.pictures import open_pictures

    result = read_usable(folder.recordings(), config, lambda paths: fit_recordings(paths, config, view.bar, sources))
    bundle = result.bundle
    bundle.fit["session"] = {
        "shown": ending.shown,
        "planned": ending.planned,
        "ended_by_rule": ending.rule_met,
        "presentation": summarise(folder.shown(), planned.onset_to_onset_s),
    }
    if timing is not None:
        bundle.fit["timing"] = asdict(timing)
    bundle.save(folder.bundle)
    if report:
        write_report(result, folder.bundle / "report.html", config, open_pictures(config.pictures).image, view.bar)
    return result
