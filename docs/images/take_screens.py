"""Take the pictures of the display that the documentation shows, from a live session with a simulated participant.

python docs/images/take_screens.py --bundle out/demo/bundle

Needs Xvfb; the participant is the demo's.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from saving import save_picture

import perceptogram
from realtime.decoding.evidence import Percept
from realtime.sources import lsl_config
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.window import TITLE

HERE = Path(__file__).parent
SCREEN = ":97"
SIZE = (1280, 720)
WARM_UP = 30
"""Pictures shown before the first one is taken, so that the scores so far are of more than a handful."""
FRAME_BUFFER = Path(tempfile.mkdtemp())


def take(name: str) -> None:
    """Save what is on the virtual screen, whose frame buffer is a file in the format of xwd."""
    dump = np.fromfile(FRAME_BUFFER / "Xvfb_screen0", np.uint8)
    header = dump[:100].view(">u4")
    start, row = int(header[0] + 12 * header[19]), int(header[12])
    rows = dump[start : start + row * (SIZE[1] + TITLE)].reshape(-1, row)[TITLE:]
    pixels = rows[:, : 4 * SIZE[0]].reshape(SIZE[1], SIZE[0], 4)[..., 2::-1]
    save_picture(Image.fromarray(pixels.copy()), HERE / f"{name}.png")


async def main() -> None:
    """Run the session and take each picture when its moment has come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--seed", type=int, default=0, help="of the demo that left the bundle")
    a = parser.parse_args()
    config = perceptogram.load_config("demo")
    config = config.model_copy(
        update={
            "evidence": config.evidence.model_copy(update={"abstain_below": 0.5}),
            "render": config.render.model_copy(update={"steps": 8}),  # leaves time to see the previews
            "display": config.display.model_copy(update={"size": SIZE}),
        }
    )
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 20, seed=1)
    lsl_config.use(lsl_config.loopback(), FRAME_BUFFER / "lsl_api.cfg")
    os.environ["DISPLAY"] = SCREEN
    stream = SimulatedStream(
        SimulationSettings(seed=a.seed), config.pictures, config.markers, name=config.stream.name or ""
    )
    # Higher than the window, which leaves room for a title bar.
    server = ["Xvfb", SCREEN, "-screen", "0", f"{SIZE[0]}x{SIZE[1] + 2 * TITLE}x24", "-fbdir", str(FRAME_BUFFER)]
    with subprocess.Popen(server, stderr=subprocess.DEVNULL) as x:
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
    for number in range(WARM_UP):
        await session.show(pictures[number % len(pictures)])
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
    os.kill(participant, signal.SIGSTOP)
    await asyncio.sleep(3.0)
    take("screen_stalled_amplifier")
    os.kill(participant, signal.SIGCONT)
    await asyncio.sleep(5.0)
    await session.show(percept.picture or "")
    await asyncio.sleep(2.0)
    renderer = next(child for child in multiprocessing.active_children() if child.name == "renderer")
    os.kill(renderer.pid or 0, signal.SIGKILL)
    await asyncio.sleep(0.7)
    take("screen_dead_renderer")


if __name__ == "__main__":
    asyncio.run(main())
