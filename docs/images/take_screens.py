"""Take the pictures of the display that the documentation shows, from a live session with a simulated participant.

python docs/images/take_screens.py --config demo --bundle out/demo/bundle

Needs Xvfb and ImageMagick; the participant is the demo's.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import subprocess
from pathlib import Path

import perceptogram
from realtime import lsl_config
from realtime.evidence import Percept
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings

HERE = Path(__file__).parent
SCREEN = ":97"
SIZE = (1280, 720)


def take(name: str) -> None:
    """Save what is on the virtual screen."""
    subprocess.run(["import", "-display", SCREEN, "-window", "root", "-strip", str(HERE / f"{name}.png")], check=True)


async def main() -> None:
    """Run the session and take each picture when its moment has come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="demo")
    parser.add_argument("--bundle", required=True)
    a = parser.parse_args()
    config = perceptogram.load_config(a.config)
    config = config.model_copy(
        update={
            "evidence": config.evidence.model_copy(update={"abstain_below": 0.5}),
            "render": config.render.model_copy(update={"steps": 8}),  # leaves time to see the previews
            "display": config.display.model_copy(update={"size": SIZE}),
        }
    )
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 20, seed=1)
    lsl_config.use(lsl_config.loopback(), Path("/tmp/take_screens_lsl.cfg"))
    os.environ["DISPLAY"] = SCREEN
    stream = SimulatedStream(SimulationSettings(), config.pictures, config.markers, name=config.stream.name or "")
    with subprocess.Popen(["Xvfb", SCREEN, "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24"], stderr=subprocess.DEVNULL) as x:
        participant = start_simulated(stream)
        try:
            session = perceptogram.Session(
                config, a.bundle, show_pictures=True, headless=True, window=True, candidates=pictures
            )
            async with session:
                await session.settled()
                await moments(session, pictures, participant.pid)
        finally:
            participant.stop()
            x.terminate()


async def sure(session: perceptogram.Session, pictures: list[str]) -> Percept:
    """Return the first percept that is decided, and right, repeating each picture a few times."""
    for picture in pictures:
        for _ in range(6):
            percept = await session.show(picture)
            if percept is not None and percept.decided and percept.neighbours[0].name == picture:
                return percept
    msg = "no picture was ever decided: calibrate for longer"
    raise RuntimeError(msg)


async def moments(session: perceptogram.Session, pictures: list[str], participant: int) -> None:
    """Take the pictures in turn."""
    for number, picture in enumerate(pictures):
        percept = await session.show(picture)
        if number > 2 and percept is not None and (percept.confidence or 0) < 0.4:
            await asyncio.sleep(2.0)
            take("screen_low_confidence")
            break
    percept = await sure(session, pictures[::-1])
    frames = session.frames()
    percept = await session.show(percept.picture or "")
    async for frame in frames:
        if percept is not None and frame.trial == percept.trial and frame.step == 3:
            await asyncio.sleep(0.1)
            take("screen_preview")
        if percept is not None and frame.trial == percept.trial and frame.final:
            break
    await asyncio.sleep(1.0)
    take("screen_final")
    renderer = next(child for child in multiprocessing.active_children() if child.name == "renderer")
    os.kill(renderer.pid or 0, signal.SIGKILL)
    await asyncio.sleep(0.7)
    take("screen_dead_renderer")
    while any(child.name == "renderer" and child.pid == renderer.pid for child in multiprocessing.active_children()):
        await asyncio.sleep(0.1)
    os.kill(participant, signal.SIGSTOP)
    await asyncio.sleep(3.0)
    take("screen_stalled_amplifier")
    os.kill(participant, signal.SIGCONT)


if __name__ == "__main__":
    asyncio.run(main())
