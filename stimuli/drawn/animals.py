"""Drawn animals."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

ANIMALS: tuple[Concept, ...] = ()
