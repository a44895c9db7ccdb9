"""Pictures of the documentation: written small, and noted with the code that drew them, so that old ones are found.

python docs/images/saving.py               which pictures are older than the code that draws them
python docs/images/saving.py FROM TO       put a picture that a command left behind in its place
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
from pathlib import Path

from PIL import Image

from configs.files import write_whole

HERE = Path(__file__).parent
HOUSE = HERE.parents[1]
NOTES = HERE / "drawn_by.json"
DISPLAY = ("realtime/display/layout.py", "realtime/display/canvas.py", "realtime/electrodes.py")
DRAWN = {
    "screen_": (DISPLAY, "python docs/images/take_screens.py --bundle out/demo/bundle"),
    "monitor": (
        ("realtime/web/server.py", "realtime/web/hub.py"),
        "perceptogram run --web, and the browser's screenshot",
    ),
    "view_": (("realtime/display/participant.py",), "display.views: [participant], and S in the window"),
    "contact_sheet": (
        ("realtime/display/contact_sheet.py", "realtime/display/canvas.py"),
        "python docs/images/draw_sheet.py out/demo",
    ),
    "generator": (("benchmarks/embedded.py",), "python -m benchmarks.embedded --out build/embedded, and copy"),
    "maps-": (
        ("calibration/report/figure.py", "docs/images/draw_maps.py"),
        "python docs/images/draw_maps.py RECORDINGS",
    ),
    "electrodes-": (
        ("calibration/report/electrode_figures.py", "calibration/report/figure.py"),
        "python docs/images/draw_electrodes.py",
    ),
    "hierarchy-": (
        ("calibration/report/hierarchy_figures.py", "calibration/report/figure.py"),
        "python docs/images/draw_electrodes.py",
    ),
}
"""By the beginning of a picture's name: the code whose change makes it old, and how it is made again."""


def save_small(png: bytes, path: Path) -> None:
    """Write a figure, given as PNG, with 256 colours, which is all it needs."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256).save(buffer, format="PNG", optimize=True)
    write_whole(path, buffer.getvalue())
    note(path)


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in all its colours, as PNG or JPEG."""
    buffer = io.BytesIO()
    if path.suffix == ".jpg":
        picture.convert("RGB").save(buffer, format="JPEG", quality=90, subsampling=0, optimize=True)
    else:
        picture.save(buffer, format="PNG", optimize=True)
    write_whole(path, buffer.getvalue())
    note(path)


def note(path: Path) -> None:
    """Note that a picture is as the code of now draws it."""
    noted = json.loads(NOTES.read_text(encoding="utf-8")) if NOTES.exists() else {}
    noted[path.name] = code_of(path.name)
    write_whole(NOTES, json.dumps(dict(sorted(noted.items())), indent=1) + "\n")


def code_of(name: str) -> str:
    """Return a hash of the code that draws a picture; comments, docstrings and layout do not count."""
    files, _ = _drawn(name)
    digest = hashlib.sha256()
    for file in files:
        tree = ast.parse((HOUSE / file).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
                told = body[0].value
                if isinstance(told, ast.Constant) and isinstance(told.value, str):
                    del body[0]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()[:16]


def old() -> list[str]:
    """Return a line for each picture that is older than the code that draws it."""
    noted = json.loads(NOTES.read_text(encoding="utf-8"))
    names = sorted(path.name for path in HERE.iterdir() if path.suffix in (".png", ".jpg"))
    return [
        f"docs/images/{name} is older than {' or '.join(_drawn(name)[0])}: {_drawn(name)[1]}"
        for name in names
        if noted.get(name) != code_of(name)
    ]


def _drawn(name: str) -> tuple[tuple[str, ...], str]:
    return next(drawn for start, drawn in DRAWN.items() if name.startswith(start))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        save_picture(Image.open(sys.argv[1]), Path(sys.argv[2]))
    else:
        found = old()
        sys.stderr.write("".join(f"{line}\n" for line in found))
        sys.exit(1 if found else 0)
