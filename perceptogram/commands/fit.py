"""``perceptogram fit``: from recordings to a calibration bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from configs.errors import InputError
from perceptogram.console import console, number, print_notices, print_rows, progress_bar, teller

if TYPE_CHECKING:
    from calibration.fit import Fit


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def fit(
        recordings: list[Path] | None = typer.Argument(None, help="XDF, muse-lsl CSV, FIF, BrainVision, EDF, EEGLAB."),
        config: str | None = typer.Option(None, help="YAML file or preset that says what was shown."),
        out: Path = typer.Option(..., help="Folder of the bundle."),
        epochs: Path | None = typer.Option(None, help="Ready-made epochs, -epo.fif or .npz, instead of recordings."),
        embeddings: Path | None = typer.Option(
            None, help="Their targets: .npy, .npz, .pt or .safetensors; not needed for epochs of our read_epochs."
        ),
        report: bool = typer.Option(True, help="Write report.html into the bundle."),
        sources: list[Path] | None = typer.Option(
            None, "--from", help="Earlier bundle to start from, of another day or person; may be given several times."
        ),
        memory: bool = typer.Option(True, help="Keep in the bundle what a later --from needs of the trials."),
        participant: str | None = typer.Option(None, help="Pseudonym of whose EEG it is, written into the bundle."),
        bids: Path | None = typer.Option(None, help="BIDS data set, instead of recordings: see --task."),
        task: str | None = typer.Option(None, help="Label of its task, for --bids."),
        subject: list[str] | None = typer.Option(None, help="Label of a subject of it; all when left out."),
        session: list[str] | None = typer.Option(None, help="Label of a session of it; all when left out."),
        picture_column: str | None = typer.Option(
            None, help="Column of its events.tsv that names the picture; stim_file or stim_id when left out."
        ),
    ) -> None:
        """Fit the linear map from EEG to image embeddings and write it with its cross-validated scores.

        Example: perceptogram fit run1.csv run2.csv run3.csv --config muse_n170 --out bundle

        Example: perceptogram fit today.xdf --config lab.yaml --out tuesday --from monday --participant p07

        Example: perceptogram fit --bids dataset --task pictures --subject 01 --out bundle
        """
        from calibration.data.sources import load_sources
        from calibration.fit import fit_recordings
        from configs.schema import load_config
        from realtime.decoding.bundle import check_place

        check_place(out)
        given = None if config is None else load_config(config)
        told: tuple[str, ...] = ()
        if bids is not None:
            if recordings or epochs is not None or embeddings is not None or task is None:
                msg = "give --bids with --task, and neither recordings nor --epochs"
                raise InputError(msg)
            from calibration.data.data_set import choose_runs

            chosen = choose_runs(bids, task, given, subject or (), session or (), picture_column)
            recordings, given, told = chosen.paths, chosen.config, chosen.notices
            if len(chosen.subjects) > 1:
                told += (f"one map for {len(chosen.subjects)} people: {', '.join(chosen.subjects)}",)
            elif participant is None:
                participant = chosen.subjects[0]
        elif task or subject or session or picture_column:
            msg = "--task, --subject, --session and --picture-column go with --bids"
            raise InputError(msg)
        if given is not None and participant is not None:
            given = given.model_copy(update={"participant": participant})
        earlier = load_sources(sources or (), given) if given is not None else ()
        with progress_bar() as progress:
            tell = teller(progress)
            if epochs is not None:
                if recordings or sources:
                    msg = "give either recordings, with --from where there are earlier bundles, or --epochs"
                    raise InputError(msg)
                from calibration.fit_epochs import fit_epochs

                result, settings = fit_epochs(epochs, embeddings, given, progress=tell)
            elif embeddings is not None or not recordings or given is None:
                msg = "give recordings and --config, or --epochs and --embeddings"
                raise InputError(msg)
            else:
                result, settings = fit_recordings(recordings, given, tell, earlier), given
            result = as_told(result, memory=memory, whose=participant)
            bundle = result.bundle
            bundle.save(out)
            if report:
                from calibration.report.calibration_report import write_report
                from stimuli.pictures import open_pictures

                nameless = bundle.classes or bundle.offline is not None
                images = None if nameless else open_pictures(settings.pictures).image
                write_report(result, out / "report.html", settings, images=images, progress=tell)
        print_notices((*told, *bundle.scores.get("notices", ())))
        print_rows(f"cross-validated{' (simulated EEG)' if bundle.simulated else ''}", score_rows(bundle.scores))
        if bundle.fit.get("chosen"):
            console.print(f"chosen: {bundle.fit['chosen']}")
            console.print(f"pictures are compared by: {bundle.fit['compared']}")
        tell_memory(result)
        console.print(f"bundle written to {out}" + (f"; open {out / 'report.html'}" if report else ""))
        if bundle.offline is not None:
            console.print(bundle.offline)


def as_told(result: Fit, *, memory: bool, whose: str | None) -> Fit:
    """Return what was fitted with what the command line says of its bundle.

    Parameters
    ----------
    result
        The fit.
    memory
        Whether the bundle may remember its trials.
    whose
        Pseudonym of whose EEG it is; None for what the settings say.
    """
    bundle = result.bundle
    kept = bundle.memory if memory else None
    return replace(result, bundle=replace(bundle, memory=kept, participant=whose or bundle.participant))


def tell_memory(result: Fit) -> None:
    """Print what earlier bundles contributed, and what this one remembers."""
    prior, memory = result.mapping.prior, result.bundle.memory
    if prior is not None:
        for line in (*result.bundle.fit["prior"]["notices"], *prior.lines):
            console.print(f"from {line}")
        console.print(f"held-out score with them {number(prior.score, 3)}, without {number(prior.alone, 3)}")
    if memory is not None:
        console.print(
            f"the bundle remembers {memory.n_trials} trials in {memory.megabytes:.1f} MB, none of them as it was"
            " (--no-memory leaves that out)"
        )


def score_rows(scores: dict[str, object]) -> dict[str, str]:
    """Return a bundle's scores for people, chance beside each."""
    rows = {}
    for name, value in scores.items():
        if isinstance(value, float) or value is None:
            rows[name] = number(value, 3)
        elif isinstance(value, int | str):
            rows[name] = str(value)
    return rows
