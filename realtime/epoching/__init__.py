"""From samples on a regular grid to event-locked epochs."""
