"""The examples of the documentation, run as a reader would run them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import perceptogram

pytestmark = [pytest.mark.processes, pytest.mark.slow]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def start(name, live, *words):
    command = [sys.executable, str(EXAMPLES / name), "--config", str(live.config_file)]
    command += ["--bundle", str(live.bundle_folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(child):
    told, complaints = child.communicate(timeout=150)
    assert child.returncode == 0, complaints
    return told


def test_closed_loop_repeats_until_it_is_sure(live_participant):
    told = output(start("closed_loop.py", live_participant, "--headless", "--pictures", "3", "--most-looks", "6"))
    lines = re.findall(r"^(\S+): (\S+) after (\d) looks, sure to (\d+)%$", told, re.MULTILINE)
    assert len(lines) == 3
    for _, _, looks, sure in lines:
        assert int(looks) == 6 or int(sure) >= 90
    assert re.search(r"^[0-3] of 3 right with \d\.\d looks a picture$", told, re.MULTILINE)


def test_neurofeedback_ends_with_one_picture(live_participant):
    told = output(start("neurofeedback.py", live_participant, "--headless", "--candidates", "4"))
    shown = re.findall(r"^ *(\S+) +(-?\d\.\d\d) #*$", told, re.MULTILINE)
    assert len(shown) >= 6  # four, then two
    last = re.search(r"^most like (\S+): (\S+)$", told, re.MULTILINE)
    assert last is not None
    assert last[2] in {name for name, _ in shown}


def test_best_guesses_of_what_another_program_shows(live_participant):
    listener = start("print_best_guess.py", live_participant, "--percepts", "2")
    config = live_participant.config
    pictures = perceptogram.choose_pictures(perceptogram.open_pictures(config.pictures, "test"), 2, seed=2)
    # The stimulus window belongs to another session, as it would to another program.
    with perceptogram.Session(
        config, live_participant.bundle, show_pictures=True, headless=True, render=False
    ) as other:
        assert listener.stdout.readline() == "listening\n"
        while listener.poll() is None:
            for picture in pictures:
                other.show_and_wait(picture)
    told = output(listener)
    assert len(re.findall(r"^shown \S+: looks like .+ \(\S+\), look \d+, sure to \d+%$", told, re.MULTILINE)) == 2
