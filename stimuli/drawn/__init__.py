"""Pictures of things, drawn by code from a seed."""
