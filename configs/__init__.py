"""Typed, validated settings and their presets: one YAML file describes one session."""
