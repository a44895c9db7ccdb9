"""The concepts that can be drawn, gathered from one file a superclass."""

from __future__ import annotations

from stimuli.drawn.animals import ANIMALS
from stimuli.drawn.concept import Concept
from stimuli.drawn.food import FOOD
from stimuli.drawn.home import HOME
from stimuli.drawn.people import PEOPLE
from stimuli.drawn.plants import PLANTS
from stimuli.drawn.tools import TOOLS
from stimuli.drawn.vehicles import VEHICLES

CONCEPTS: dict[str, Concept] = {
    concept.name: concept for concept in (*PEOPLE, *ANIMALS, *FOOD, *PLANTS, *VEHICLES, *HOME, *TOOLS)
}
