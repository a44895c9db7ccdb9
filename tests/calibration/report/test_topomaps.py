import numpy as np
import pytest
from matplotlib.figure import Figure
from mne.viz import plot_topomap

from calibration.maps.montage import Montage
from calibration.report.topomaps import Scalp, Sheet

MONTAGE = Montage.of(("Fz", "C3", "EXG1", "Cz", "C4", "P7", "Pz", "P8", "Oz"))


def test_electrodes_add_up_to_what_mne_draws():
    values = np.random.default_rng(0).standard_normal(len(MONTAGE.placed))
    scalp = Scalp.of(MONTAGE)
    image, _ = plot_topomap(
        values, MONTAGE.info, axes=Figure().add_subplot(), show=False, contours=0, extrapolate="head",
        res=scalp.inside.shape[0],
    )  # fmt: skip
    drawn = np.ma.filled(image.get_array(), 0.0)
    np.testing.assert_allclose(np.tensordot(values, scalp.shares, axes=1), drawn, atol=1e-5)
    assert scalp.extent == pytest.approx(image.get_extent())
    assert scalp.spots.shape == (8, 2)


def test_opacity_is_the_disc_of_the_head():
    inside = Scalp.of(MONTAGE).inside
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.01)
    assert inside[32, 32] == 1
    assert inside[0, 0] == 0


@pytest.mark.parametrize("rate_hz", [100.0, 125.0, 256.0])
def test_a_sheet_has_a_head_every_20_ms(rate_hz):
    times_s = np.arange(round(0.6 * rate_hz) + 1) / rate_hz
    sheet = Sheet(("a", "b"), times_s, 0.3)
    assert np.all(np.abs(times_s[sheet.samples] - 0.02 * np.arange(31)) <= 0.5 / rate_hz + 1e-9)
    centres = [centre for _, _, centre in sheet.cells(Figure().add_subplot())]
    assert len(set(centres)) == 2 * 31
    assert all(0 < x < sheet.width and sheet.foot < y < sheet.height for x, y in centres)
