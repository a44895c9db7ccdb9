import io
import re

import numpy as np
import pytest
from PIL import Image

from calibration.report.page import p_is, p_value, page, templates

NAMES = ("<script>alert(1)</script>", "$x^2$ & {{ 7 * 7 }}", '" onerror="x')


def png(width=8):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, width, 3), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def part(name, *arguments):
    return getattr(templates().get_template("parts.html").module, name)(*arguments)


def electrodes(name="O1", simulated=False):
    """The smallest page, with `name` wherever a name can stand."""
    numbers = {"n_units": 3, "unit": name, "n_trials": 9}
    drawn = [{"png": png(), "title": name, "caption": name}]
    return page(
        "electrodes.html",
        simulated=simulated,
        numbers=numbers,
        n_electrodes=4,
        rate_hz=250.0,
        note=name,
        advice=name,
        rows=[(name, 0.25, name, 3, "0.013")],
        drawn=drawn,
    )


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
    widths = [int(part("figure", png(pixels), "x").split('width="')[1].split('"')[0]) for pixels in (200, 1000)]
    assert widths[1] == 5 * widths[0]


def test_numbers_are_set_to_the_right_and_fractions_have_three_digits():
    text = part("table", ("name", "n"), [("a", 3), ("b", 0.12345), ("c", "7")])
    assert re.findall(r"<td[^>]*>[^<]*", text) == [
        "<td>a", "<td class=n>3", "<td>b", "<td class=n>0.123", "<td>c", "<td>7",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_from_outside_are_text_and_nothing_else(name):
    plain, text = electrodes(), electrodes(name)
    tags = [re.findall(r"<(/?\w+)", page) for page in (plain, text)]
    assert tags[0] == tags[1]
    assert "onerror=" not in re.sub(r'alt="[^"]*"|>[^<]*<', "", text)
    assert text.count(name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")) == 7


def test_what_a_template_needs_and_does_not_get_is_an_error():
    with pytest.raises(Exception, match="'note' is undefined"):
        page("electrodes.html", simulated=False, numbers={"n_units": 1, "unit": "u"}, n_electrodes=4, rate_hz=250.0)


def test_simulated_eeg_is_called_so_under_the_heading():
    text = electrodes(simulated=True)
    assert text.index("<h1>") < text.index("was simulated") < text.index("<p>O1")
    assert "was simulated" not in electrodes()
