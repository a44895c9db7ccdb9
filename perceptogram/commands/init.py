"""``perceptogram init``: the first configuration, with what each line means."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shlex import quote

import typer

from configs.errors import InputError
from perceptogram.console import console

DRAWN = "drawn"
TEMPLATE = """# yaml-language-server: $schema={schema}
# One session of Perceptogram Live. What is left out has its default: docs/configuration.md has every key.
# Is it right? perceptogram config check {file}
name: {name}

stream:
  name: {stream}          # as `perceptogram streams` lists it
  # channels: [O1, Oz, O2]  # all EEG channels when left out
  # unit: microvolts        # where the stream does not tell it

markers:
  # name: PerceptogramMarkers # the only marker stream when left out
  # classes: {{"1": house, "2": face}} # labels of another program that stand for sets of pictures
  offset_s: 0.0             # from a marker to the light on the screen, measured by a photodiode

pictures:
{pictures}

filters:                    # causal, the same live and in calibration
  highpass_hz: 0.3
  lowpass_hz: 40.0
  # notch_hz: 50
  # rate_hz: 125            # reduce to; must divide the stream's

window:                     # what is decoded, in seconds after onset
  start_s: 0.0
  stop_s: 0.8

fit:
{encoder}
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def init(
        file: Path = typer.Argument(Path("lab.yaml"), help="File to write; it must not exist."),
        stream: str | None = typer.Option(None, help="Name of the EEG stream; asked for when left out."),
        pictures: str | None = typer.Option(None, help="Folder of pictures, or 'drawn'; asked for when left out."),
    ) -> None:
        """Ask for the stream and the pictures, and write a configuration with a comment on each line.

        Example: perceptogram init lab.yaml --stream actiCHamp --pictures drawn
        """
        from configs.files import write_whole
        from configs.schema import PRESETS, PictureSettings, load_config
        from stimuli.pictures import open_pictures

        if file.exists():
            msg = f"{file} is there already: give another name"
            raise InputError(msg)
        name = stream if stream is not None else _ask_stream()
        shown = pictures if pictures is not None else _ask("Folder of pictures, or 'drawn' for those that ship", DRAWN)
        if shown != DRAWN and not Path(shown).is_dir():
            msg = f"there is no folder {shown}: give one that holds pictures, or 'drawn'"
            raise InputError(msg)
        drawn = shown == DRAWN
        if not drawn:
            open_pictures(PictureSettings(set="folder", folder=Path(shown)))
        text = TEMPLATE.format(
            schema=PRESETS / "schema.json",
            file=quote(file.name),
            name=json.dumps(file.stem),
            stream=json.dumps(name),
            pictures="  set: drawn               # those that ship; or folder, things"
            if drawn
            else f"  set: folder\n  folder: {json.dumps(str(Path(shown).resolve()))}",
            encoder="  model: perceptogram-drawn # ships; knows drawn pictures only"
            if drawn
            else "  # The encoder that ships knows drawn pictures only. For photographs take CLIP's ViT-H-14 (4 GB):\n"
            "  # model: ViT-H-14\n  # pretrained: laion2b_s32b_b79k\n  # download: true\n"
            "  model: perceptogram-drawn",
        )
        write_whole(file, text)
        load_config(file)
        console.print(f"{file} written; next: perceptogram doctor --config {quote(str(file))}", soft_wrap=True)


def _ask_stream() -> str:
    """Return the stream that was chosen among those that can be seen from here."""
    from realtime.sources.lsl import find_streams
    from realtime.sources.selection import Wanted

    eeg = Wanted(type="EEG")
    found = [one.name for one in find_streams(wanted=eeg) if eeg.agrees(one)]
    console.print(f"EEG streams on the network: {', '.join(found) or 'none'}")
    return _ask("Name of the EEG stream", found[0] if found else "MyAmplifier")


def _ask(question: str, default: str) -> str:
    if not sys.stdin.isatty():
        msg = f"nobody is there to ask ({question.lower()}): give --stream and --pictures"
        raise InputError(msg)
    return str(typer.prompt(question, default=default))
