"""From epochs to percepts: the matrix, the gallery, the evidence, the bundle they come in."""
