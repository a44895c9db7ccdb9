import io

import numpy as np
import pytest
from PIL import Image

from calibration.report.page import figure, p_is, p_value, page, table


def png(width):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, width, 3), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("p", "value", "sentence"),
    [
        (0.000999, "0.001", "p = 0.001"),
        (0.0004, "< 0.001", "p < 0.001"),
        (0.0127, "0.013", "p = 0.013"),
        (1.0, "1.000", "p = 1.000"),
        (None, "n/a", "p n/a"),
    ],
)
def test_a_p_value_for_people(p, value, sentence):
    assert (p_value(p), p_is(p)) == (value, sentence)


def test_text_is_as_large_in_wide_figures_as_in_narrow_ones():
    widths = [int(figure(png(pixels), "x").split('width="')[1].split('"')[0]) for pixels in (200, 1000)]
    assert widths[1] == 5 * widths[0]


def test_what_others_wrote_is_escaped():
    assert "<b>" not in page("<b>", ["<h1>title</h1>"]) + table(("<b>",), [("<b>", 0.5)]) + figure(png(8), "<b>")


def test_simulated_eeg_is_called_so_under_the_heading():
    text = page("title", ["<h1>title</h1>", "", "<p>rest</p>"], simulated=True)
    assert text.index("<h1>") < text.index("was simulated") < text.index("<p>rest")
    assert "was simulated" not in page("title", ["<h1>title</h1>"])
