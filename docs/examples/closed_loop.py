"""Show each picture again until the decoder is sure of it, then move on.

A fixed schedule spends the same number of looks on every picture; this one spends them where they are needed.

python docs/examples/closed_loop.py --config demo --bundle out/demo/bundle
"""

from __future__ import annotations

import argparse
import asyncio

import perceptogram

MOST_LOOKS = 12


async def main() -> None:
    """Run the loop and say how many looks each picture took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--most-looks", type=int, default=MOST_LOOKS)
    parser.add_argument("--headless", action="store_true")
    a = parser.parse_args()
    config = perceptogram.load_config(a.config)
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), a.pictures, seed=0)

    looks, right = 0, 0
    async with perceptogram.Session(
        config, a.bundle, show_pictures=True, headless=a.headless, render=False, candidates=pictures
    ) as session:
        await session.settled()
        for picture in pictures:
            percept, needed = None, 0
            while needed < a.most_looks and not (percept and percept.decided):
                percept = await session.show(picture)
                needed += 1
            looks += needed
            if percept is not None:
                guess = percept.neighbours[0].name
                right += guess == picture
                print(f"{picture}: {guess} after {needed} looks, sure to {percept.confidence or 0:.0%}", flush=True)
    print(f"{right} of {len(pictures)} right with {looks / len(pictures):.1f} looks a picture")


if __name__ == "__main__":
    asyncio.run(main())
