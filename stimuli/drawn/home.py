"""Drawn home."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

HOME: tuple[Concept, ...] = ()
