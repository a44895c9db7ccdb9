"""Outputs of the product that learn something else than the embedding."""
