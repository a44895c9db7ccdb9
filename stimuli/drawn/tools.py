"""Drawn tools."""

from __future__ import annotations

from stimuli.drawn.concept import Concept

TOOLS: tuple[Concept, ...] = ()
