"""Held-out scores, each with its chance level and interval."""
