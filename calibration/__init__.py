"""What happens between runs: targets, trials, the fit, its scores and maps."""
