"""The display window, and what it shows."""
