"""What must hold between the rooms, read from the source: the way of the data is the way of the imports."""

import ast
from collections import Counter
from functools import cache
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
    ("realtime.web",),
    (
        "realtime.epoching",
        "realtime.control",
        "realtime.display",
        "realtime.doctor",
        "realtime.failures",
        "realtime.painter",
    ),
    ("realtime.windows", "realtime.session_events"),
    ("realtime.session", "realtime.recording"),
    ("calibration.statistics", "calibration.errors", "calibration.progress"),
    ("calibration.data",),
    ("calibration.model",),
    ("calibration.heads",),
    ("calibration.scores",),
    ("calibration.maps",),
    ("calibration",),
    ("calibration.report",),
    ("perceptogram.console", "perceptogram.raw"),
    ("perceptogram.live", "perceptogram.calibrate", "perceptogram.bids"),
    ("perceptogram.epochs", "perceptogram.estimators", "perceptogram.testing"),
    ("perceptogram.session", "perceptogram.demo"),
    ("perceptogram.commands", "perceptogram.__main__"),
)
FOR_PEOPLE = {"text", "reason", "message", "notice"}
"""Fields that hold a line for people: whoever wants to know what it is about looks at its `kind`."""
TAKEN_APART = {"startswith", "endswith", "removeprefix", "removesuffix", "split", "partition", "find", "index", "count"}
MATCHED = {"match", "fullmatch", "search", "findall", "finditer", "sub", "split"}
STARTS_PROCESSES = ("multiprocessing", "subprocess", "concurrent.futures.process")
MAY_START_PROCESSES = ("realtime.processes.", "stimuli.child")
FLOOR_OF = {folder: number for number, floor in enumerate(FLOORS) for folder in floor}


@cache
def modules() -> dict[str, tuple[Path, ast.Module]]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = path, ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.AST) -> set[str]:
    """Return the modules of ours that `tree` imports, those for the type checker alone and within functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in modules()}


def room(module: str) -> str:
    """Return the longest part of the module's name that has a floor, or "" for the face of a package."""
    parts = module.split(".")
    return next((".".join(parts[:n]) for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in FLOOR_OF), "")


def upward(module: str, tree: ast.AST) -> list[str]:
    here = room(module)
    return [
        f"{module} imports {other}"
        for other in sorted(imports(tree))
        if room(other) not in ("", here)
        and len(modules()[other][1].body) > 1
        and FLOOR_OF[room(other)] >= FLOOR_OF[here]
    ]


def test_every_module_has_a_floor():
    assert not [module for module, (_, tree) in modules().items() if "." in module and not room(module)]


def test_imports_run_downward():
    assert not [line for module, (_, tree) in modules().items() if room(module) for line in upward(module, tree)]


def test_an_upward_import_is_found():
    """Also one in a function, and one for the type checker alone."""
    for line in (
        "from perceptogram.session import Session",
        "def late():\n    import calibration.fit",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from realtime.epoching import epochs",
    ):
        assert len(upward("realtime.timeline.timeline", ast.parse(line))) == 1


def test_a_class_name_stands_for_one_thing():
    names = Counter(
        (module.split(".")[0], node.name)
        for module, (_, tree) in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    )
    assert {name for (_, name), count in names.items() if count > 1} == set()


def started_by(tree: ast.AST) -> set[str]:
    """Return what `tree` imports, anywhere in it, that starts or ends processes; pools of processes too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {
        name for name in found if name.startswith(STARTS_PROCESSES) or name == "concurrent.futures.ProcessPoolExecutor"
    }


def test_processes_are_started_in_one_room():
    """And by the stimuli's child, which stands below it."""
    assert not [
        f"{module} imports {', '.join(sorted(found))}"
        for module, (_, tree) in modules().items()
        if not module.startswith(MAY_START_PROCESSES) and (found := started_by(tree))
    ]


def test_a_process_started_elsewhere_is_found():
    for line in (
        "import subprocess",
        "def late():\n    from multiprocessing.connection import Connection",
        "from concurrent.futures import ProcessPoolExecutor",
    ):
        assert started_by(ast.parse(line))
    assert not started_by(ast.parse("from concurrent.futures import ThreadPoolExecutor"))


def is_for_people(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in FOR_PEOPLE


def is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != ""


def takes_apart(node: ast.AST) -> bool:
    """Return whether `node` reads a line for people: by a method, by a regular expression or by comparing words."""
    match node:
        case ast.Call(func=ast.Attribute(value=line, attr=name), args=args):
            return (is_for_people(line) and name in TAKEN_APART) or (name in MATCHED and any(map(is_for_people, args)))
        case ast.Compare(left=left, comparators=others):
            return any(map(is_for_people, (left, *others))) and any(map(is_word, (left, *others)))
    return False


def test_nobody_reads_a_line_for_people():
    """Our own messages have kinds; the lines beside them may be reworded at any time."""
    assert not [
        f"{module}:{node.lineno}"
        for module, (_, tree) in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and takes_apart(node)
    ]


def test_a_line_that_is_read_is_found():
    for line in (
        "state.notice.startswith('EEG stream')",
        "event.reason.split(' at ')[0]",
        "re.sub(NUMBER, '#', self.reason)",
        "PATTERN.match(told.text)",
        "'nothing' in state.notice",
        "link.text == 'stopped'",
    ):
        assert any(map(takes_apart, ast.walk(ast.parse(line)))), line


def test_a_folder_can_be_taken_in_at_a_glance():
    sizes = Counter(path.parent.relative_to(ROOT) for path, _ in modules().values() if path.name != "__init__.py")
    del sizes[Path("perceptogram/commands")]  # one file a command
    assert not [f"{folder}: {size} modules" for folder, size in sizes.items() if size > 15]


def test_a_file_can_be_read_in_one_go():
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, (path, _) in modules().items()}
    assert not [f"{module}: {length} lines" for module, length in lengths.items() if length > 400]
