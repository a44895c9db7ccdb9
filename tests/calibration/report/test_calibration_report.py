import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from calibration.fit import fit_trials
from calibration.report.calibration_report import render, write_report
from calibration.scores.breakdown import by_channel, by_time
from calibration.scores.learning_curve import Point, learning_curve, trials_to_reach
from configs.schema import Config, FitSettings, MarkerSettings, WindowSettings
from tests.support.calibration_examples import CHANNELS, as_examples, layout_of, make_gallery, make_trials

CONFIG = Config(
    name="a <name> & more",
    window=WindowSettings(stop_s=0.4, baseline_s=(-0.2, 0.0)),
    fit=FitSettings(permutations=30, alphas=(10.0, 100.0, 1000.0)),
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def result():
    trials, targets = make_trials(n_pictures=40, signal=0.8)
    return fit_trials(trials, targets, CONFIG, null=make_trials(n_pictures=40, signal=0.0)[0])


@pytest.fixture(scope="module")
def page(result):
    return render(result, CONFIG, image_of)


def image_of(name):
    return np.full((40, 40, 3), int(name[-3:]), dtype=np.uint8)


def test_the_page_needs_nothing_but_itself_and_says_what_it_should(result, page):
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)', page))
    assert not re.search(r"https?:|<script|<link|url\(|@import", page)
    assert "a &lt;name&gt; &amp; more" in page
    for heading in ("Scores against chance", "When", "Where", "Learning curve", "Choice of alpha", "do not show"):
        assert f"{heading}</h2>" in page
    assert f"{result.bundle.scores['two_way']:.3f}" in page
    assert "above chance" in page
    assert f"Noise ceiling {result.bundle.scores['noise_ceiling']:.3f}" in page
    assert page.count('<img src="data') >= 5 + 12 * 7


def test_chance_is_called_chance():
    trials, targets = make_trials(n_pictures=30, signal=0.0, seed=5)
    page = render(fit_trials(trials, targets, CONFIG), CONFIG)
    assert "not distinguishable from chance" in page
    assert "no goal is in sight" in page


def test_simulated_eeg_is_called_simulated(page):
    trials, targets = make_trials(n_pictures=30)
    simulated = fit_trials(type(trials)(**{**vars(trials), "simulated": True}), targets, CONFIG)
    assert "The participant was simulated" in render(simulated, CONFIG)
    assert "was simulated" not in page


def test_two_classes_have_their_own_page():
    trials, _ = make_trials(n_pictures=2, repeats=60, n_recordings=3)
    gallery = make_gallery(n=2)
    from calibration.data.targets import given_targets
    from realtime.spaces import EmbeddingSpace

    names = np.where(trials.names == "picture-000", "a", "b")
    targets = given_targets(("a", "b"), ("a", "b"), gallery.embeddings, EmbeddingSpace("made", "up", 8))
    config = CONFIG.model_copy(update={"markers": MarkerSettings(classes={"1": "a", "2": "b"})})
    page = render(fit_trials(type(trials)(**{**vars(trials), "names": names}), targets, config), config)
    assert "The two classes</h2>" in page
    assert "that is no reconstruction" in page


@pytest.mark.processes
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
def test_a_browser_shows_it(result, tmp_path):
    write_report(result, tmp_path / "report.html", CONFIG, image_of)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,2400"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={tmp_path / 'page.png'}"]
    subprocess.run([*command, (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    shot = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    inked = np.any(shot < 245, axis=2)
    # Text and figures from top to bottom, in both columns, and nothing beyond the margins.
    assert np.all(inked.reshape(8, -1, inked.shape[1]).any(axis=(1, 2)))
    assert inked[:, 100:500].mean() > 0.02
    assert inked[600:1300, 600:1000].mean() > 0.02
    assert not inked[:, :40].any()


def test_information_is_where_and_when_it_was_put():
    trials, targets = make_trials(n_pictures=40, signal=0.0)
    embeddings = targets.of(trials.names)
    samples = trials.samples.copy()
    late = (trials.times_s >= 0.2) & (trials.times_s < 0.3)
    samples[:, late, 2] += 30 * (embeddings[:, :5] - 3)
    examples = as_examples(type(trials)(**{**vars(trials), "samples": samples}), targets)
    where = by_channel(examples, layout_of(trials), CHANNELS, CONFIG.fit, targets.gallery)
    when = by_time(examples, layout_of(trials), trials.times_s, CONFIG.fit, targets.gallery)
    assert max(where, key=lambda part: part.score).name == CHANNELS[2]
    assert [round(part.at, 2) for part in when] == [0.05, 0.15, 0.25, 0.35]
    best = max(when, key=lambda part: part.score)
    assert best.at == pytest.approx(0.25)
    assert best.low > 0.6
    assert all(part.score < 0.62 for part in when if part is not best)


def test_learning_rises_with_trials():
    trials, targets = make_trials(n_pictures=80, signal=0.6)
    curve = learning_curve(as_examples(trials, targets), layout_of(trials), CONFIG.fit, targets.gallery)
    assert [point.n for point in curve] == [48, 96, 144, 192]
    assert curve[-1].score > curve[0].score
    assert all(point.low < point.score < point.high for point in curve)


def test_extrapolation_is_careful():
    def curve(*values, width=0.02):
        return [Point(100 * (i + 1), value, value - width, value + width) for i, value in enumerate(values)]

    assert trials_to_reach(curve(0.55, 0.58, 0.60), 0.59) == 300
    needed = trials_to_reach(curve(0.55, 0.58, 0.60), 0.65)
    assert needed is not None
    assert 400 < needed < 3000
    assert trials_to_reach(curve(0.55, 0.58, 0.60), 0.99) is None
    assert trials_to_reach(curve(0.60, 0.58, 0.56), 0.7) is None
    assert trials_to_reach(curve(0.50, 0.51, 0.51), 0.7) is None
    assert trials_to_reach(curve(0.6), 0.7) is None
