"""The participant's own filters and cosines are scipy's, which takes four times as long to start as all the rest."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.signal import butter, sosfilt

from realtime.sources.simulation.features import FREQUENCIES, SHAPE, coarse_shape
from realtime.sources.simulation.sections import BLOCK, Sections
from stimuli.picture_features import luminance


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2 * BLOCK + 1), min_size=1, max_size=6), st.integers(1, 4), st.integers(0, 1000))
def test_sections_filter_as_scipys_do_however_samples_are_cut(cuts, order, seed):
    sos = butter(2 * order, (0.01, 0.3), "bandpass", output="sos")
    samples = np.random.default_rng(seed).standard_normal((sum(cuts) + 1, 3))
    sections = Sections(sos, 3)
    found = [sections.filter(piece) for piece in np.split(samples, np.cumsum(cuts))]
    np.testing.assert_allclose(np.concatenate(found), sosfilt(sos, samples, axis=0), rtol=1e-9, atol=1e-9)


def test_a_coarse_shape_is_of_the_cosine_transform():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    image[:12, :20] //= 4
    grey = luminance(image)
    spectrum = dctn(grey - grey.mean(), norm="ortho") / len(grey)
    wanted = (np.array([spectrum[place] for place in FREQUENCIES]) - SHAPE[0]) / SHAPE[1]
    assert np.ptp(np.clip(wanted, -2.5, 2.5)) > 1
    assert coarse_shape(image) == pytest.approx(np.clip(wanted, -2.5, 2.5), abs=1e-9)


@pytest.mark.processes
def test_a_participant_starts_without_scipy():
    program = "import sys, realtime.sources.simulated; assert 'scipy' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
