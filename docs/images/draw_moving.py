"""Put a session's screens together as the start page's moving picture: ``python docs/images/draw_moving.py``."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent
SCREENS = (("screen_preview.png", 700), ("screen_final.png", 1800), ("screen_low_confidence.png", 1800))
WIDTH = 960


def main() -> None:
    """Draw it from the screens, which `take_screens.py` takes of real sessions with a simulated participant."""
    frames = []
    for name, _ in SCREENS:
        screen = Image.open(FOLDER / name).convert("RGB")
        frames.append(screen.resize((WIDTH, round(WIDTH * screen.height / screen.width)), Image.Resampling.LANCZOS))
    times_ms = [time_ms for _, time_ms in SCREENS]
    size = frames[0].size
    same = [frame if frame.size == size else frame.resize(size) for frame in frames]
    same[0].save(FOLDER / "session.webp", save_all=True, append_images=same[1:], duration=times_ms, loop=0, quality=80)


if __name__ == "__main__":
    main()
