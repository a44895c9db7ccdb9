"""``perceptogram calibrate``: a calibration session, or a check of the pictures' timing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from configs.errors import InputError
from perceptogram.console import console, print_rows

if TYPE_CHECKING:
    from calibration.data.photodiode import Timing
    from configs.schema import Config, PictureSettings
    from perceptogram.calibrate.folder import CalibrationFolder
    from perceptogram.calibrate.run import Conduct
    from perceptogram.calibrate.view import View
    from stimuli.sequence import Plan


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def calibrate(
        recording: Path | None = typer.Argument(None, help="With --check-timing: look at this recording."),
        config: str = typer.Option(..., help="YAML file or preset: streams, pictures, screen, fit."),
        out: Path | None = typer.Option(
            None,
            help="Folder for recording, plan, frame log and bundle; out/calibration (or out/timing) when left out.",
        ),
        pictures: int | None = typer.Option(None, min=2, help="How many different pictures."),
        repeats: int | None = typer.Option(None, min=1, help="How often each is shown."),
        blocks: int | None = typer.Option(None, min=1, help="Parts with a rest and a score after each; 2.5 min each."),
        minutes: float | None = typer.Option(None, min=0.1, help="How long pictures are shown; 15 when left out."),
        stop_when: str | None = typer.Option(None, help='End after the first block where this holds: "two_way>0.70".'),
        resume: bool = typer.Option(False, "--resume", help="Go on with the calibration in --out."),
        overwrite: bool = typer.Option(
            False, "--overwrite", help="Replace an earlier calibration in --out, its recordings too."
        ),
        headless: bool = typer.Option(False, "--headless", help="Show the pictures to nobody."),
        timing: Path | None = typer.Option(None, help="Apply the offset in this file, made by --check-timing."),
        sources: list[Path] | None = typer.Option(
            None, "--from", help="Earlier bundle to start from, of another day or person; may be given several times."
        ),
        memory: bool = typer.Option(True, help="Keep in the bundle what a later --from needs of the trials."),
        participant: str | None = typer.Option(None, help="Pseudonym of whose EEG it is, written into the bundle."),
        simulate: bool = typer.Option(False, "--simulate", help="Calibrate a simulated participant."),
        seed: int = typer.Option(0, min=0, help="Who is simulated."),
        snr: float = typer.Option(1.0, min=0.0, help="Size of the simulated response; 0 for none at all."),
        check_timing: bool = typer.Option(False, "--check-timing", help="Measure a photodiode against the markers."),
        channel: str | None = typer.Option(None, help="With --check-timing: the photodiode's channel."),
    ) -> None:
        """Show pictures, record the EEG, and fit the map, with its score after each block.

        Example: perceptogram calibrate --config lab.yaml --out anna --stop-when "two_way>0.70"

        Example: perceptogram calibrate --config lab.yaml --out tuesday --from monday/bundle --participant p07

        Example: perceptogram calibrate --check-timing --config lab.yaml --out timing
        """
        from calibration.data.photodiode import read_timing
        from calibration.data.sources import load_sources
        from configs.schema import load_config
        from perceptogram.calibrate.block_scores import StopRule
        from perceptogram.calibrate.children import for_simulation
        from perceptogram.calibrate.folder import CalibrationFolder, Size, begin, go_on
        from perceptogram.calibrate.run import Conduct, check
        from realtime.decoding.bundle import check_place
        from realtime.sources.simulation.participant import stand_in

        settings = load_config(config)
        if check_timing:
            _check_timing(settings, recording, out or Path("out/timing"), channel, headless, overwrite)
            return
        if recording is not None or channel is not None:
            msg = "a recording and --channel go with --check-timing; 'perceptogram fit' fits a map on recordings"
            raise InputError(msg)
        rule = None if stop_when is None else StopRule.parse(stop_when)
        check(settings, rule)
        settings = settings.model_copy(
            update={
                "participant": participant or settings.participant,
                "fit": settings.fit.model_copy(update={"memory": settings.fit.memory and memory}),
            }
        )
        # Read before --overwrite could remove them.
        earlier = load_sources(sources or (), settings)
        conduct = Conduct(headless, rule, stand_in(settings, seed, snr) if simulate else None, earlier)
        if simulate:
            settings = for_simulation(settings)
        folder, size = CalibrationFolder(out or Path("out/calibration")), Size(pictures, repeats, blocks, minutes)
        if resume and overwrite:
            msg = "--resume goes on with a calibration, --overwrite replaces it: give one of them"
            raise InputError(msg)
        measured = None if timing is None else read_timing(timing)
        planned = go_on(folder, size) if resume else begin(folder, settings, size, overwrite=overwrite)
        check_place(folder.bundle)
        _calibrate(settings, folder, planned, conduct, measured)


def _tell_kept(settings: PictureSettings, view: View) -> None:
    """Say which concepts are not shown, because they are kept for a test."""
    from stimuli.pictures import open_pictures

    kept = open_pictures(settings, "test")
    concepts = sorted({kept.label(name) for name in kept.names})
    if concepts:
        some = ", ".join(concepts[:5]) + (", ..." if len(concepts) > 5 else "")
        view.say(f"kept for a test of pictures never seen, and not shown: {len(kept.names)} pictures ({some})")


def _calibrate(
    config: Config, folder: CalibrationFolder, planned: Plan, conduct: Conduct, timing: Timing | None
) -> None:
    from perceptogram.calibrate.fitting import fit_folder
    from perceptogram.calibrate.run import calibrate, trials_a_minute
    from perceptogram.calibrate.view import GOAL, View
    from perceptogram.commands.fit import score_rows, tell_memory
    from realtime.sources import lsl_config

    if timing is not None:
        markers = config.markers.model_copy(update={"offset_s": timing.offset_s})
        config = config.model_copy(update={"markers": markers})
    rule = conduct.rule
    goal = rule.above if rule is not None and rule.score == "two_way" else GOAL
    private = nullcontext() if conduct.participant is None else lsl_config.on_this_machine()
    with private, View(console, goal, trials_a_minute(planned)) as view:
        if config.pictures.folder is not None:
            _tell_kept(config.pictures, view)
        ending = calibrate(config, folder, planned, conduct, view)
        result = (
            None
            if ending.aborted
            else fit_folder(config, folder, planned, ending, timing, view, sources=conduct.sources)
        )
    if result is None:
        console.print(f"stopped after {ending.shown} of {ending.planned} trials; all of it is kept in {folder.path}")
        console.print("the same command with --resume instead of the plan's size goes on at the trial where it stopped")
        raise typer.Exit(130)
    simulated = " (simulated EEG)" if result.bundle.simulated else ""
    print_rows(f"cross-validated{simulated}", score_rows(result.bundle.scores))
    tell_memory(result)
    if ending.rule_met:
        console.print("the session ended because its score was high, so the score is a little too good")
    console.print(f"bundle written to {folder.bundle}; look at {folder.bundle / 'report.html'}")


def _check_timing(
    config: Config, recording: Path | None, out: Path, channel: str | None, headless: bool, overwrite: bool
) -> None:
    from calibration.data.photodiode import write_timing
    from perceptogram.calibrate.timing_check import check_recording, record_short_run
    from perceptogram.calibrate.view import GOAL, View

    if recording is None:
        with View(console, GOAL, 0.0) as view:
            recording = record_short_run(config, out, headless, view, overwrite=overwrite)
    found = check_recording(recording, config, channel)
    out.mkdir(parents=True, exist_ok=True)
    write_timing(found, out / "timing.json")
    print_rows(f"light against markers in {recording.name}", _timing_rows(found))
    if not found.usable:
        scatter = f"{1e3 * found.sd_s:.0f} ms"
        console.print(f"the markers cannot be used: they scatter by {scatter} about the light, which no offset mends;")
        console.print("markers.from_photodiode: true takes onsets from the light and names alone from the markers")
        raise typer.Exit(1)
    console.print(f"to apply it, set markers.offset_s: {found.offset_s:.4f} in the config,")
    console.print(f"or give --timing {out / 'timing.json'} to 'perceptogram calibrate'")


def _timing_rows(found: Timing) -> dict[str, str]:
    return {
        "channel": f"{found.channel}, light makes it {found.edge}",
        "markers with their light": f"{found.n_matched} of {found.n_markers}",
        "light after marker": f"{1e3 * found.offset_s:.1f} ms (median)",
        "jitter": f"SD {1e3 * found.sd_s:.2f} ms, 5 % to 95 %: {1e3 * found.p5_s:.1f} to {1e3 * found.p95_s:.1f} ms",
        "one sample": f"{1e3 / found.rate_hz:.1f} ms",
    }
