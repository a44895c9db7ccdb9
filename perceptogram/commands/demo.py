"""``perceptogram demo``: the whole loop, offline, with a simulated participant."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from perceptogram.console import console, number, print_rows, progress_bar, styled, write_json

LIVE_S = 60.0
"""What the live part takes of the demo's minutes."""
FILM_S = 12.0
"""Longest that the film of it may be."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""

    @app.command()
    def demo(
        out: Path = typer.Option(Path("out/demo"), help="Folder for everything that is left behind."),
        seed: int = typer.Option(0, min=0, help="Of the participant, the pictures and their order."),
        minutes: float = typer.Option(2.5, min=0.3, help="Calibration and live decoding together."),
        snr: float = typer.Option(1.0, min=0.0, help="Size of the evoked response; 0 for none at all."),
        headless: bool = typer.Option(False, "--headless", help="Show nothing; the default without a screen."),
        overwrite: bool = typer.Option(False, "--overwrite", help="Replace what an earlier demo left in that folder."),
    ) -> None:
        """Calibrate a simulated participant over LSL and reconstruct, live, what they see.

        Example: perceptogram demo --headless --seed 7 --out demo
        """
        from configs.files import whole_file
        from configs.output_folder import claim
        from configs.schema import load_config
        from perceptogram.demo import (
            FILES,
            DemoSettings,
            calibrate_simulated,
            decode_simulated,
            for_demo,
            sheet_entries,
        )
        from perceptogram.live.film import make_film
        from perceptogram.live.recorded import read_session
        from realtime.display.contact_sheet import contact_sheet
        from realtime.rendering.worker import RenderWorker
        from realtime.sources import lsl_config
        from stimuli.pictures import open_pictures

        claim(out, "demo", FILES, overwrite=overwrite)
        screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) and not headless
        total_s = 60 * minutes
        live_s = min(LIVE_S, total_s / 2)
        settings = DemoSettings(
            seed=seed,
            snr=snr,
            calibration_s=total_s - live_s,
            repeats=max(1, round(live_s / LIVE_S * DemoSettings.repeats)),
            headless=not screen,
        )
        console.print(
            styled(("simulated", "bold"), " participant · real LSL streams · linear map · diffusion on this machine")
        )
        config = for_demo(load_config("demo"), settings)
        with lsl_config.on_this_machine(), RenderWorker(config.render) as renderer:
            bundle = calibrate_simulated(config, settings, out, console).bundle
            with progress_bar() as progress:
                finished = decode_simulated(config, settings, bundle, out, renderer, progress)
        summary = {
            "n_calibration_trials": bundle.scores["n_trials"],
            "n_test_trials": finished.summary["n_trials"],
            **finished.summary,
            "calibration": bundle.scores,
            "seed": seed,
            "snr": snr,
        }
        write_json(out / "summary.json", summary)
        entries = sheet_entries(finished, open_pictures(config.pictures))
        title = (
            f"{summary['n_way']} pictures never seen before, {summary['repeats']:.0f} looks each · "
            f"right picture first {number(summary['top1'])} (chance {number(summary['chance_top1'])}) · "
            f"two-way {number(summary['two_way'])} (chance 0.50)"
        )
        if entries:
            sheet = contact_sheet(entries, title, simulated=True)
            with whole_file(out / "contact_sheet.png") as part:
                sheet.save(part, format="PNG")
        session = read_session(out)
        if session.pictures:
            make_film(session, out / "demo.gif", most_s=FILM_S)
        print_rows("decoded live (simulated EEG)", _rows(summary))
        console.print(
            f"look at {out / 'contact_sheet.png'} and {out / 'demo.gif'}; all numbers are in {out / 'summary.json'}"
        )


def _rows(summary: dict[str, Any]) -> dict[str, str]:
    micro, first = summary["latency_us"], summary["latency_ms"].get("embedding_to_first_picture")
    final = summary["latency_ms"].get("embedding_to_final_picture")
    single = summary["single_trial"]
    return {
        "calibration trials": str(summary["n_calibration_trials"]),
        "live trials": f"{summary['n_test_trials']} ({summary['n_way']} new pictures), {summary['refused']} refused",
        "two-way identification": f"{number(summary['two_way'])} (chance 0.50, p {number(summary['two_way_p'], 4)})",
        "the same, single trials": f"{number(single['two_way'])} (chance 0.50)",
        "the same, before the picture": f"{number(summary['baseline_two_way'])} (chance 0.50)",
        "right picture first": f"{number(summary['top1'])} (chance {number(summary['chance_top1'])})",
        "last sample to embedding": f"{micro['last_sample_to_embedding']['p50']:.0f} µs, of which the map "
        f"{micro['map']['p50']:.0f} µs"
        if micro["map"]
        else "n/a",
        "embedding to first picture": "n/a" if first is None else f"{first['p50']:.0f} ms",
        "embedding to final picture": "n/a" if final is None else f"{final['p50']:.0f} ms",
        "samples lost": str(summary["lost_samples"]),
    }
