"""What the eye sees: picture sets, trial order, the presenter and its markers."""
