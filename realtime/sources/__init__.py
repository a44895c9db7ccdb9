"""Where EEG comes from: a live stream, a recording, a simulated participant."""
