"""The command ``calibrate``: pictures shown, a stream recorded, a map fitted, scores seen while it goes on."""
