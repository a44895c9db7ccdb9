"""One live session or replay: streams opened, observers wired, results kept."""
