"""Find the picture that makes the brain's answer most like a target, without telling the decoder which ones are alike.

Every round shows each picture that is still in the running, measures how much the decoded embedding is like the
target's, and drops the worse half (successive halving). In a neurofeedback session the printed bar is what the
participant sees.

python docs/examples/neurofeedback.py --config demo --bundle out/demo/bundle --target cat-1016
"""

from __future__ import annotations

import argparse
import asyncio

import perceptogram


def bar(likeness: float, width: int = 30) -> str:
    """Return the feedback as text."""
    return "#" * round(width * max(0.0, min(1.0, likeness)))


async def main() -> None:
    """Halve the candidates until one is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--target", help="picture to steer towards; any when left out")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--headless", action="store_true")
    a = parser.parse_args()
    config = perceptogram.load_config(a.config)
    unseen = perceptogram.open_pictures(config.pictures, "test")
    pictures = perceptogram.choose_pictures(unseen, a.candidates, seed=1)
    target = a.target or pictures[0]

    async with perceptogram.Session(config, a.bundle, show_pictures=True, headless=a.headless, render=False) as session:
        await session.settled()
        running = list(pictures)
        while len(running) > 1:
            likeness = {}
            for picture in running:
                percept = await session.show(picture)
                if percept is not None:
                    likeness[picture] = session.likeness(percept, target)
                    print(f"{picture:>20} {likeness[picture]:5.2f} {bar(likeness[picture])}", flush=True)
            if not likeness:
                continue
            running = sorted(likeness, key=lambda name: -likeness[name])[: (len(likeness) + 1) // 2]
    print(f"most like {target}: {running[0]}")


if __name__ == "__main__":
    asyncio.run(main())
