"""Drawn vehicles."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

VEHICLES: tuple[Concept, ...] = ()
