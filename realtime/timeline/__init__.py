"""The time axis: timestamps in, a regular grid out, with every dropped sample marked."""
