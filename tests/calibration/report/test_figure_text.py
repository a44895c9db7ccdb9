from calibration.report.figure import drawing


def test_a_name_with_dollars_is_no_formula():
    with drawing("figure", "from $5_{ to $9^", "price in $a_{$", 4.0, 3.0) as (figure, made):
        figure.add_subplot().set_title("$\\frac$")
    assert b"$5_{ to $9^" in made.svg
