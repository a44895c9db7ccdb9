from matplotlib.text import Text

from calibration.report import calibration_figures
from calibration.report.figure import drawing, png_of


def test_a_name_with_dollars_is_no_formula():
    with drawing("figure", "from $5_{ to $9^", "price in $a_{$", 4.0, 3.0) as (figure, made):
        figure.add_subplot().set_title("$\\frac$")
    assert b"$5_{ to $9^" in made.svg


def test_powers_of_ten_are_numbers_and_no_formula(monkeypatch):
    seen = []

    def read(figure):
        png = png_of(figure)
        seen.extend(text.get_text() for text in figure.findobj(Text) if text.get_visible())
        return png

    monkeypatch.setattr(calibration_figures, "png_of", read)
    calibration_figures.alphas([1.0, 10.0, 100.0, 1e9], [1.2, 0.9, 0.8, 1.0], 100.0, [10.0, 100.0])
    assert {"1", "100", "1e+06"} <= set(seen)
    assert not [text for text in seen if "$" in text]
