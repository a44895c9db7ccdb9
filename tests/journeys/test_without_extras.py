"""An installation without extras decodes and names the nearest pictures; what paints or embeds says what it lacks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from configs.extras import BRINGS
from configs.schema import PictureSettings
from realtime.recording.xdf_writer import XdfWriter
from stimuli.markers import PICTURE, Marker
from stimuli.pictures import open_pictures
from tests.support.command import perceptogram

INFO = """<info><name>Amp</name><type>EEG</type><channel_count>2</channel_count><nominal_srate>250</nominal_srate>
<channel_format>float32</channel_format><source_id>amp</source_id><desc><channels>
<channel><label>Fz</label><unit>microvolts</unit></channel><channel><label>Cz</label><unit>microvolts</unit></channel>
</channels></desc></info>"""
MARKERS = """<info><name>Stim</name><type>Markers</type><channel_count>1</channel_count>
<nominal_srate>0</nominal_srate><channel_format>string</channel_format><source_id>s</source_id></info>"""
CONFIG = """
pictures: {set: folder, folder: pictures}
markers: {offset_s: 0.0}
fit: {permutations: 0, folds: 2, choose: error, alphas: [1000.0]}
"""
ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recording, a bundle that was fitted to it where all is installed, and a Python that finds no extra."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab.yaml").write_text(CONFIG)
    rng = np.random.default_rng(0)
    for concept in "abcdef":
        (folder / "pictures" / concept).mkdir(parents=True)
        image = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(image).save(folder / "pictures" / concept / "1.png")
    names = open_pictures(PictureSettings(set="folder", folder=folder / "pictures")).names
    markers = [[Marker(0.0, PICTURE, names[number % 6]).text()] for number in range(30)]
    writer = XdfWriter(folder / "a.xdf")
    writer.stream_header(1, INFO)
    samples = rng.normal(0, 10, (40 * 250, 2)).astype(np.float32)
    writer.numbers(1, 1000 + np.arange(len(samples)) / 250, samples)
    writer.stream_header(2, MARKERS)
    writer.texts(2, [1005.0 + number for number in range(30)], markers)
    writer.close()
    (folder / "absent").mkdir()
    everything = {module for modules in BRINGS.values() for module in modules}
    (folder / "absent" / "sitecustomize.py").write_text(ABSENT.format(modules=everything))
    return folder


def without_extras(folder, *arguments):
    paths = (str(folder / "absent"), *filter(None, sys.path))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "perceptogram", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_pictures_are_named_and_not_painted(folder):
    fitted = perceptogram("fit", "a.xdf", "--config", "lab.yaml", "--no-report", "--out", "bundle", cwd=folder)
    assert fitted.returncode == 0, fitted.stderr
    done = without_extras(folder, "replay", "a.xdf", "--bundle", "bundle", "--config", "lab.yaml", "--out", "o")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "o" / "percepts.jsonl").read_text().splitlines()]
    assert sum(bool(line.get("neighbours")) for line in lines) == 30
    notices = [line["text"] for line in lines if "notice" in line]
    assert notices == [
        "nothing is painted: painting needs torch, which is not installed: pip install 'perceptogram-live[gpu]'"
    ]


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("fit", "a.xdf", "--config", "lab.yaml", "--out", "again"), "gpu"),
        (("demo", "--headless", "--minutes", "0.6", "--out", "demo"), "gpu"),
        (("worker", "--broker", "mqtt://127.0.0.1:1"), "gpu"),
        (("export-bids", "a.xdf", "--config", "lab.yaml", "--out", "bids"), "bids"),
        (("broker",), "broker"),
    ],
)
def test_what_lacks_is_told_in_one_line(folder, arguments, extra):
    done = without_extras(folder, *arguments)
    assert done.returncode == 2
    assert f"pip install 'perceptogram-live[{extra}]'" in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
