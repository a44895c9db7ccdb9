"""The generator that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from configs.schema import RenderSettings

from realtime.rendering.generators.base import Generator


def make_generator(settings: RenderSettings) -> Generator:
    """Return the generator that `settings` names, not yet prepared."""
    if settings.generator == "embedded":
        from realtime.rendering.embedded.generator import EmbeddedGenerator

        return EmbeddedGenerator() if settings.weights is None else EmbeddedGenerator(Path(settings.weights))
    if settings.generator == "sdxl-turbo":
        from realtime.rendering.generators.sdxl_turbo import SdxlTurbo

        return SdxlTurbo(settings)
    if settings.generator == "sd15-few-step":
        from realtime.rendering.generators.sd15_few_step import Sd15FewStep

        return Sd15FewStep(settings)
    if settings.generator == "kandinsky22":
        from realtime.rendering.generators.kandinsky22 import Kandinsky22

        return Kandinsky22(settings)
    from realtime.rendering.generators.unclip import Unclip

    return Unclip(settings)
