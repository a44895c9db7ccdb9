"""``perceptogram config``: is a configuration right, and what may stand in one."""

from __future__ import annotations

from pathlib import Path

import typer

from perceptogram.console import console, print_rows


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(
        name="config",
        no_args_is_help=True,
        help="Check a configuration, or write the JSON schema that editors read.\n\n"
        "Example: perceptogram config check lab.yaml",
    )
    app.add_typer(group)

    @group.command()
    def check(file: str = typer.Argument(..., help="YAML file or preset.")) -> None:
        """Say whether a configuration is right, one line for each fault, and what it comes to.

        Example: perceptogram config check lab.yaml
        """
        from configs.schema import load_config

        config = load_config(file)
        stream, filters, window = config.stream, config.filters, config.window
        band = [f"{edge:g}" if edge is not None else "any" for edge in (filters.highpass_hz, filters.lowpass_hz)]
        source = stream.board if stream.board is not None else stream.name or "the only one"
        folder = "" if config.pictures.folder is None else f", {config.pictures.folder}"
        missing = config.pictures.folder is not None and not config.pictures.folder.is_dir()
        labels = config.pictures.set == "labels"
        print_rows(
            f"{file} is right",
            {
                "stream": f"{source}, {'all EEG channels' if stream.channels is None else ', '.join(stream.channels)}",
                "filters": f"{band[0]} to {band[1]} Hz",
                "window": f"{window.start_s:g} to {window.stop_s:g} s after onset",
                "pictures": f"{config.pictures.set}{folder}{' (no such folder here)' if missing else ''}",
                "encoder": "none, labels alone" if labels else f"{config.fit.model}, {config.fit.pretrained}",
                "generator": "none, labels alone" if labels else config.render.generator,
            },
        )

    @group.command()
    def schema(
        out: Path = typer.Option(..., help="File to write."),
    ) -> None:
        """Write the JSON schema of a configuration, by which editors complete and check.

        Example: perceptogram config schema --out perceptogram.schema.json
        """
        from configs.files import write_whole
        from configs.schema import schema_text

        write_whole(out, schema_text())
        console.print(f"schema written to {out}")
