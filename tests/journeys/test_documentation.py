"""Whatever the pages and ``--help`` tell people to type is understood, and runs as it is written."""

import itertools
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pylsl
import pytest
import yaml

from configs.schema import parse_config
from perceptogram.__main__ import COMMANDS
from perceptogram.commands.bench import BENCHMARKS
from realtime.sources.simulated import SimulatedStream, start_simulated
from realtime.sources.simulation.participant import SimulationSettings
from stimuli.marker_outlet import MarkerOutlet
from stimuli.markers import PICTURE, Marker
from tests.support import documented
from tests.support.command import perceptogram

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PATIENCE_S = 600.0
NOT_RUN = {
    "perceptogram init": "tests/perceptogram/test_init_command.py runs it",
    "perceptogram config schema": "tests/perceptogram/test_init_command.py runs it",
    "perceptogram bench": "measures for minutes; tests/benchmarks runs each benchmark",
    "perceptogram demo": "takes minutes; tests/perceptogram/test_demo.py runs it, and so does make wheel-test",
    "perceptogram calibrate --config lab.yaml --out anna": "takes a person and an amplifier",
    "perceptogram calibrate --config lab.yaml --out tuesday": "takes a person and an amplifier",
    "perceptogram fit today.xdf": "tests/journeys/test_starting_from_earlier_days.py runs it",
    "perceptogram participants": "tests/journeys/test_starting_from_earlier_days.py runs it",
    "perceptogram calibrate --check-timing": "takes a photodiode",
    "perceptogram fit --bids": "tests/journeys/test_public_data_set.py runs it",
    "perceptogram things-eeg2 --bids": "tests/journeys/test_public_data_set.py runs it",
    "perceptogram fit --epochs": "takes epochs cut elsewhere; tests/calibration/data/test_epochs_files.py makes some",
    "perceptogram replay RECORDING": "stands for any recording; tests/perceptogram/test_replay.py reads each format",
    "perceptogram maps": "takes half a minute; tests/perceptogram/test_maps_command.py runs it",
    "perceptogram fit ../shared/data/muse_n170/": "tests/calibration/test_fit.py fits them so",
    "perceptogram fit ../shared/data/muse_p300/": "tests/calibration/test_fit.py fits them so",
    "perceptogram fit ../shared/data/muse_spatial_freq/": "tests/benchmarks/test_accuracy.py fits them so",
    "perceptogram worker --broker mqtts://lab-server:8883": "takes another machine's broker and a model's weights",
    "perceptogram worker --config lab.yaml": "takes a broker that lab.yaml names",
    "perceptogram run --config lab.yaml --bundle bundle --out session1 --web": "see test_web_page.py",
    "perceptogram run --config browser.yaml": "see test_browser_experiment.py",
    "perceptogram film session1": "tests/perceptogram/live/test_film.py makes films of both kinds",
    "perceptogram view session1": "tests/perceptogram/live/test_recorded.py opens the page in a browser",
}
HEADBAND = (
    "perceptogram fit run1.csv run2.csv run3.csv --config muse_n170 --out bundle",
    "perceptogram evaluate bundle run4.csv --config muse_n170",
    "perceptogram replay run4.csv --bundle bundle --config muse_n170 --out replayed",
)
LAB = (
    "perceptogram config check lab.yaml",
    "perceptogram fit anna/calibration*.xdf --config lab.yaml --out bundle",
    "perceptogram fit run1.xdf run2.xdf --config lab.yaml --out bundle",
    "perceptogram export-bids demo/recording.xdf --config demo --out bids --line 50",
    "perceptogram score-pictures painted shown --weights weights --json scores.json",
    "perceptogram things-eeg2 --root eeg --training clip_train.npy --test clip_test.npy --jobs 2",
)
AIR = ("perceptogram streams --wait 5", "perceptogram doctor --config lab.yaml")
UNTIL_CTRL_C = {
    "perceptogram monitor --broker mqtt://127.0.0.1:1883 --session session": "page at http://127.0.0.1:8420/",
    "perceptogram record session1.xdf --seconds 600": "recording to session1.xdf",
    "perceptogram simulate --seed 3 --snr 0.5 --fault drop:n=50,at=5 --fault jitter:sd=0.002": "Ctrl-C stops",
}
SESSION = "perceptogram run --config lab.yaml --bundle bundle --out session1"
LEDGER = "perceptogram ledger session1/percepts.jsonl --json stages.json"
LIVE_REPLAY = "perceptogram replay run4.csv --bundle bundle --config muse_n170 --out replayed_live --lsl"
REHEARSAL = "perceptogram calibrate --config lab.yaml --simulate --headless --minutes 1 --out rehearsal"
BROKER = "perceptogram broker --port 1883"
STEERED = (
    "perceptogram run --config lab.yaml --bundle anna/bundle --out session1 --mqtt mqtt://127.0.0.1:1883 "
    "--show-pictures"
)
PAINTER = "perceptogram worker --broker mqtt://127.0.0.1:1883"
RUN = {
    *HEADBAND,
    *LAB,
    *AIR,
    *UNTIL_CTRL_C,
    SESSION,
    LEDGER,
    LIVE_REPLAY,
    REHEARSAL,
    BROKER,
    STEERED,
    PAINTER,
}


def with_arguments():
    """The command lines that say more than a command's name."""
    return [line for line in documented.command_lines() if len(line.split()) > 2]


def environment():
    """The user's shell: the installed command is on the path, and windows open where nobody sees them."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "SDL_VIDEODRIVER": "dummy"}


def start(line, folder):
    return subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=folder,
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def typed(*lines, folder):
    """Run command lines that need no shell but for its ``*`` to their good end in this process; return the words."""
    told = []
    for line in lines:
        words = shlex.split(line)[1:]
        found = [
            sorted(path.relative_to(folder) for path in folder.glob(word)) if "*" in word else [word] for word in words
        ]
        done = perceptogram(*itertools.chain(*found), cwd=folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        told.append(done.stdout)
    return told


def run(*lines, folder):
    """Run command lines at the same time to their good end, and return what they said."""
    children = [start(line, folder) for line in lines]
    with ending(*children):
        told = [child.communicate(timeout=PATIENCE_S)[0] for child in children]
    for line, child, words in zip(lines, children, told, strict=True):
        assert child.returncode == 0, f"{line}\n{words}"
    return told


def wait_for(child, words):
    """Read what a process says until `words` come, and return all of it."""
    told, give_up = "", time.monotonic() + PATIENCE_S
    while words not in told:
        assert time.monotonic() < give_up, told
        if select.select([child.stdout], [], [], 0.2)[0]:
            heard = os.read(child.stdout.fileno(), 1 << 16).decode()  # a reader that buffers would hide it from select
            assert heard, told
            told += heard
    return told


def interrupt(child):
    child.send_signal(signal.SIGINT)
    told, _ = child.communicate(timeout=PATIENCE_S)
    return told


@contextmanager
def ending(*children):
    """End what still runs, however the test ends."""
    try:
        yield
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
            child.communicate()


@pytest.mark.parametrize("line", with_arguments())
def test_every_option_exists_and_takes_what_is_given(line):
    documented.parse(line)
    if line.startswith("perceptogram bench"):
        assert line.split()[2] in BENCHMARKS


def test_every_command_that_is_named_exists():
    known = {name.replace("_", "-") for name in COMMANDS}
    assert {line.split()[1] for line in documented.command_lines()} <= known


def test_every_command_line_is_run_or_has_a_reason_not_to_be():
    lines = {" ".join(line.split()) for line in with_arguments()}
    left = {line for line in lines - RUN if not any(line.startswith(start) for start in NOT_RUN)}
    assert not left, "sort these into the lists of this file"
    assert not RUN - lines, "these are written nowhere any more"


def test_every_configuration_that_is_shown_is_one():
    shown = [block for block in documented.blocks() if block.language == "yaml"]
    assert len(shown) >= 5
    for block in shown:
        parse_config(yaml.safe_load(block.text), block.page)


def test_every_link_leads_somewhere():
    broken = []
    for page in documented.PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            file, _, anchor = target.partition("#")
            if "://" in target:
                continue
            there = page if not file else (page.parent / file).resolve()
            if not there.exists():
                broken.append(f"{page.name}: {target}")
            elif anchor:
                titles = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
                known = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
                if anchor not in known:
                    broken.append(f"{page.name}: {target}")
    for file in (documented.HOUSE / "perceptogram").rglob("*.py"):
        told = re.findall(r"\bdocs/[\w./-]+\.md", file.read_text())
        broken += [f"{file.name}: {target}" for target in told if not (documented.HOUSE / target).exists()]
    assert not broken


@pytest.fixture(scope="module", autouse=True)
def brief():
    """What is fitted in this process has a null of few draws and a report of few pictures: nobody looks at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("calibration.scores.permutation_null._MOST_PRODUCTS", 0)
        patch.setattr("calibration.report.calibration_report._EXAMPLES", 1)
        yield


@pytest.fixture(scope="module")
def headband(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headband")
    for number in (1, 2, 3, 4):
        documented.write_headband(folder / f"run{number}.csv", seed=number, seconds=20.0 if number < 4 else 10.0)
    typed(HEADBAND[0], folder=folder)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    documented.write_lab(folder)
    (folder / "anna").mkdir()
    shutil.copy(folder / "run1.xdf", folder / "anna" / "calibration.xdf")
    shutil.copy(folder / "run2.xdf", folder / "anna" / "calibration_2.xdf")
    documented.write_recording(folder / "demo" / "recording.xdf", 1, "SimulatedEEG", "PerceptogramMarkers")
    documented.write_pictures(folder)
    documented.write_things_eeg2(folder)
    typed(LAB[0], folder=folder)
    return folder


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """A rehearsal for a headband, of eighteen seconds, which goes on while other tests run."""
    folder = tmp_path_factory.mktemp("rehearsal")
    channels = ["TP9", "AF7", "AF8", "TP10"]
    content = {"stream": {"name": "Muse", "channels": channels, "unit": "microvolts"}, "filters": {"rate_hz": 128}}
    content["fit"] = documented.BRIEF
    (folder / "lab.yaml").write_text(yaml.safe_dump(content))
    child = start(REHEARSAL.replace("--minutes 1 ", "--minutes 0.3 "), folder)
    with ending(child):
        yield child, folder


@pytest.fixture(scope="module")
def on_air(lab):
    """The laboratory's amplifier, on a simulated head, ten chunks a second; and the folder of the laboratory."""
    config = parse_config(yaml.safe_load((lab / "lab.yaml").read_text()), "lab.yaml")
    who = SimulationSettings(channels=documented.CHANNELS)
    amplifier = start_simulated(SimulatedStream(who, config.pictures, config.markers, "LabEEG", "lab", chunk_size=25))
    yield lab
    amplifier.stop()


def test_a_laboratorys_commands(rehearsal, lab):
    typed(*LAB[1:], folder=lab)
    assert (lab / "bids" / "sub-01" / "eeg").is_dir()


def test_a_headbands_commands(headband):
    typed(*HEADBAND[1:], folder=headband)
    assert (headband / "replayed" / "summary.json").exists()


def test_what_looks_at_the_streams(on_air):
    streams, doctor = run(*AIR, folder=on_air)
    assert "LabEEG" in streams
    assert "EEG stream: " in doctor


def test_what_runs_until_it_is_interrupted(on_air):
    for line, words in UNTIL_CTRL_C.items():
        child = start(line, on_air)
        with ending(child):
            wait_for(child, words)
            told = interrupt(child)
        assert child.returncode in (0, 130), told
        assert "Traceback" not in told
    assert (on_air / "session1.xdf").stat().st_size > 1000


def test_a_session_that_is_interrupted_while_it_loads_its_generator_says_that_it_heard(on_air):
    markers = MarkerOutlet("LabMarkers", "lab-markers")
    session = start(SESSION.replace("session1", "never_begun --headless --no-record"), on_air)
    with ending(session):
        wait_for(session, "found LabEEG")
        told = interrupt(session)
    markers.close()
    assert "still starting" in told
    assert (session.returncode, "Traceback" in told) == (0, False), told


def test_a_session_of_another_programs_pictures(on_air):
    markers = MarkerOutlet("LabMarkers", "lab-markers")
    session = start(SESSION, on_air)
    with ending(session):
        wait_for(session, "decoding LabEEG")
        markers.wait_for_listener(PATIENCE_S)
        log, give_up = on_air / "session1" / "percepts.jsonl", time.monotonic() + PATIENCE_S
        while not (log.exists() and '"neighbours"' in log.read_text()):
            assert time.monotonic() < give_up, session.poll()
            markers.send(Marker(pylsl.local_clock(), PICTURE, "cat-1015"))
            time.sleep(1.5)
        told = interrupt(session)
    markers.close()
    assert session.returncode == 0, told
    typed(LEDGER, folder=on_air)
    assert (on_air / "stages.json").exists()


@pytest.mark.parametrize("page", ["README.md", "docs/sessions.md"])
def test_a_script_as_it_is_written(page, on_air):
    (block,) = [one for one in documented.blocks() if (one.page, one.language) == (page, "python")]
    (on_air / "script.py").write_text(block.text)
    (told,) = run("python script.py", folder=on_air)
    assert re.search(r"^\S.* (None|0?\.\d+|1\.0)", told, re.MULTILINE), told


def test_an_embedding_is_read_as_the_page_says():
    (block,) = [one for one in documented.blocks() if (one.page, one.language) == ("docs/control.md", "python")]
    names = {"event": {"embedding": {"float16": "ADwAwA=="}}}
    exec(block.text, names)
    assert names["values"].tolist() == [1.0, -2.0]


def test_a_recording_is_replayed_over_lsl(headband):
    typed(LIVE_REPLAY, folder=headband)


def test_another_program_steers_a_session(on_air):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 1883)) == 0:
            pytest.skip("something else listens on port 1883")
    say, ask = [
        line
        for block in documented.blocks()
        if block.page == "docs/control.md"
        for line in block.text.splitlines()
        if line.startswith("mosquitto_")
    ]
    if shutil.which("mosquitto_pub") is None:
        pytest.skip("the mosquitto clients are not installed")
    shutil.copytree(on_air / "bundle", on_air / "anna" / "bundle", dirs_exist_ok=True)
    shutil.rmtree(on_air / "session1", ignore_errors=True)
    broker = start(BROKER, on_air)
    with ending(broker):
        wait_for(broker, "Ctrl-C ends it")
        painter, session = start(PAINTER, on_air), start(STEERED, on_air)
        with ending(painter, session):
            wait_for(session, "decoding LabEEG")
            answers = start(say.removesuffix(" &"), on_air)
            with ending(answers):
                give_up = time.monotonic() + PATIENCE_S
                while not select.select([answers.stdout], [], [], 1.0)[0]:
                    assert time.monotonic() < give_up
                    run(ask, folder=on_air)
                wait_for(answers, '"ok":true')
            wait_for(painter, "ready")
            for child in (session, painter):
                told = interrupt(child)
                assert child.returncode == 0, told
        interrupt(broker)


def test_recordings_beside_the_project_are_where_the_pages_say(shared_data):
    named = {word for line in documented.command_lines() for word in line.split() if word.startswith("../shared/")}
    assert named
    for word in named:
        assert list(documented.HOUSE.glob(word)), word


def test_a_rehearsal_for_a_headband(rehearsal):
    child, folder = rehearsal
    told, _ = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 0, told
    assert "cross-validated (simulated" in told
    assert (folder / "rehearsal" / "bundle" / "report.html").exists()
    (told,) = typed("perceptogram fit rehearsal/calibration.xdf --config lab.yaml --out again", folder=folder)
    assert "cross-validated (simulated" in told, "by the laboratory's own settings, which name the amplifier"
