"""The diffusion models themselves: weights, schedules, samplers."""
