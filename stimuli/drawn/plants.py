"""Drawn plants."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

PLANTS: tuple[Concept, ...] = ()
