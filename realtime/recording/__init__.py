"""What is written while a session runs: XDF, percept streams, the latency log."""
