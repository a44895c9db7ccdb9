"""One script a claim; `perceptogram bench NAME` runs them."""
