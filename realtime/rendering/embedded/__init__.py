"""The generator that ships: code and weights."""
