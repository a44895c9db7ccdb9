"""Amplifiers without a stream of their own, read through BrainFlow and put on the air."""
