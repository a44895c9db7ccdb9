"""Drawn food."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

FOOD: tuple[Concept, ...] = ()
