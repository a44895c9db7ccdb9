"""The ``perceptogram`` command."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from io import TextIOWrapper

import typer

from configs.errors import InputError
from configs.extras import ExtraMissingError
from configs.extras import told as told_missing
from perceptogram import __version__
from perceptogram.console import Notices, errors, styled
from realtime.processes.blas_threads import wait_passively
from realtime.sources import lsl_config

COMMANDS = (
    "init",
    "config",
    "demo",
    "doctor",
    "streams",
    "simulate",
    "record",
    "export_bids",
    "fit",
    "evaluate",
    "maps",
    "score_pictures",
    "run",
    "monitor",
    "view",
    "film",
    "replay",
    "ledger",
    "participants",
    "broker",
    "worker",
    "calibrate",
    "things_eeg2",
    "bench",
)

app = typer.Typer(
    name="perceptogram",
    help="What a person sees, decoded from their EEG while they look, as a picture.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"perceptogram {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more about what happens."),
    _show_version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


for _name in COMMANDS:
    importlib.import_module(f"perceptogram.commands.{_name}").register(app)


def explained(error: InputError) -> str:
    """Return what the error says, and behind it where what to do is written."""
    return f"{error} (docs/troubleshooting.md#{error.about})"


def main() -> None:
    """Run the command: exit code 2 for bad input, 1 for a failure, 130 when interrupted."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no sign for an arrow must not end a calibration
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr = Notices(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace", line_buffering=True)
    lsl_config.quiet()
    wait_passively()
    try:
        app()
    except InputError as error:
        for line in explained(error).splitlines():
            errors.print(styled(("error:", "bold red"), f" {line}"))
        sys.exit(2)
    except KeyboardInterrupt:
        errors.print("interrupted")
        sys.exit(130)
    except Exception as error:
        missing = told_missing(error) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None:
            errors.print(styled(("error:", "bold red"), f" {explained(ExtraMissingError(missing))}"))
            sys.exit(2)
        if os.environ.get("PERCEPTOGRAM_DEBUG"):
            raise
        told = f" {type(error).__name__}: {error} (PERCEPTOGRAM_DEBUG=1 shows where)"
        errors.print(styled(("failed:", "bold red"), told))
        sys.exit(1)


if __name__ == "__main__":
    main()
