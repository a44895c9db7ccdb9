"""Readers of recording files: each returns the same `Loaded`, whatever the format."""
