"""From an embedding to a picture, in a process of its own."""
