"""Generators: an embedding in, a picture out."""
