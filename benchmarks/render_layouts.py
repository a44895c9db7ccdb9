"""Generator by form of weights: how far our final latent is from the stock pipeline's; ``results/render-layouts.md``.

``python -m benchmarks.render_layouts`` writes the page, ``perceptogram bench render-layouts`` prints it.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from benchmarks.harness import print_table
from benchmarks.report import RESULTS, markdown_rows
from configs.files import write_whole

PAGE = RESULTS / "render-layouts.md"
ABSENT = "–"
HEAD = """# Forms of weights

Largest difference of the final latent from the stock diffusers pipeline's with the same weights, seed and embedding,
over its largest value, in float32: the worst of {steps} steps; of a decoder, of the decoded picture. Tiny networks of
the true architecture with random weights, saved under the public file names, key names and arithmetic. At most
{at_most:g} is asked for by `tests/realtime/rendering/diffusion/test_layouts.py`; {absent} is a form that the generator
does not come in.

Made by `python -m benchmarks.render_layouts` with torch {torch}, diffusers {diffusers}.
"""


def run(quick: bool = False) -> dict[str, Any]:
    """Compare every generator with the stock pipeline in every form of its weights; a quick run paints one step."""
    from tests.support import layout_forms as forms

    steps = forms.STEPS[:1] if quick else forms.STEPS
    asked = [(name, form) for name in forms.FAMILIES for form in (*forms.forms_of(name), *forms.decoders_of(name))]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as home, forms.narrowed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the stock pipelines' about their own parts
        workshop = forms.Workshop(Path(home))
        for name, form in track(asked, "forms", console=Console(stderr=True), transient=True):
            place = Path(tempfile.mkdtemp(dir=home))
            family = forms.FAMILIES[name]
            if form in forms.DECODERS:
                kind, write = forms.DECODERS[form]
                model = forms.model_with_decoder(place, family)
                worst = workshop.decoder_difference(name, kind, write(place, family), model)
            else:
                worst = workshop.difference(name, forms.FORMS[form](place, family), steps)
            found.setdefault(form, {})[name] = worst
    print_table(
        f"largest relative difference from the stock pipeline, {', '.join(map(str, steps))} steps",
        ("form", *forms.FAMILIES),
        rows(found, forms.FAMILIES),
    )
    return {"steps": list(steps), "at_most": forms.AT_MOST, "differences": found}


def rows(found: dict[str, dict[str, float]], names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return a row for every form, a column for every generator."""
    return [(form, *(f"{of[name]:.1e}" if name in of else ABSENT for name in names)) for form, of in found.items()]


def main() -> None:
    """Write the page."""
    from tests.support.layout_forms import FAMILIES

    result = run()
    versions = {package: version(package) for package in ("torch", "diffusers")}
    head = HEAD.format(steps=", ".join(map(str, result["steps"])), at_most=result["at_most"], absent=ABSENT, **versions)
    table = markdown_rows(("form", *FAMILIES), rows(result["differences"], FAMILIES))
    write_whole(PAGE, "\n".join([head, *table]) + "\n")


if __name__ == "__main__":
    main()
