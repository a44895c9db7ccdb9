"""What must hold between the rooms, read from the source: the way of the data is the way of the imports."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("configs", "stimuli", "realtime", "calibration", "perceptogram")

# From the ground up. A folder may import what stands on a floor below its own; on one floor nobody imports another.
FLOORS = (
    ("configs",),
    ("stimuli",),
    ("realtime.processes", "realtime.spaces", "realtime.electrodes"),
    ("realtime.sources", "realtime.mqtt"),
    ("realtime.timeline", "realtime.decoding", "realtime.rendering"),
    (
        "realtime.epoching",
        "realtime.control",
        "realtime.display",
        "realtime.doctor",
        "realtime.failures",
        "realtime.painter",
    ),
    ("realtime.session", "realtime.recording"),
    ("calibration.statistics", "calibration.errors", "calibration.progress"),
    ("calibration.data",),
    ("calibration.model",),
    ("calibration.scores",),
    ("calibration.maps",),
    ("calibration",),
    ("calibration.report",),
    ("perceptogram.console",),
    ("perceptogram.live", "perceptogram.calibrate", "perceptogram.bids"),
    ("perceptogram.session", "perceptogram.demo"),
    ("perceptogram.commands", "perceptogram.__main__"),
)
FLOOR_OF = {folder: number for number, floor in enumerate(FLOORS) for folder in floor}


def modules() -> dict[str, tuple[Path, ast.Module]]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = (path, ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = modules()


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of ours that `tree` imports, those for the type checker alone and within functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in MODULES}


def room(module: str) -> str:
    """Return the longest part of the module's name that has a floor, or "" for the face of a package."""
    parts = module.split(".")
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in FLOOR_OF), "")


def upward(module: str, tree: ast.AST) -> list[str]:
    here = room(module)
    return [
        f"{module} imports {other}"
        for other in sorted(imports(tree))
        if room(other) not in ("", here) and len(MODULES[other][1].body) > 1 and FLOOR_OF[room(other)] >= FLOOR_OF[here]
    ]


def test_every_module_has_a_floor():
    assert not [module for module, (_, tree) in MODULES.items() if len(tree.body) > 1 and not room(module)]


def test_imports_run_downward():
    assert not [line for module, (_, tree) in MODULES.items() if room(module) for line in upward(module, tree)]


if __name__ == "__main__":
    for module, (_, tree) in MODULES.items():
        if room(module):
            for line in upward(module, tree):
                print(line)
        elif len(tree.body) > 1:
            print("no floor", module)
    for p in PACKAGES:
        c = defaultdict(list)
        for m, (_, t) in MODULES.items():
            if m.split(".")[0] == p:
                for n in t.body:
                    if isinstance(n, ast.ClassDef):
                        c[n.name].append(m)
        for k, v in c.items():
            if len(v) > 1:
                print(k, v)
    for m, (p, _) in MODULES.items():
        n = len(p.read_text().splitlines())
        if n > 400:
            print(m, n)
    for m, (_, t) in MODULES.items():
        u = {a.name for n in ast.walk(t) if isinstance(n, ast.Import) for a in n.names} | {
            n.module for n in ast.walk(t) if isinstance(n, ast.ImportFrom)
        }
        u = {x for x in u if x and x.split(".")[0] in ("multiprocessing", "subprocess")}
        if u and not m.startswith("realtime.processes"):
            print(m, u)
