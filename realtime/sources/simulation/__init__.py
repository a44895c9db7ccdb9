"""The simulated participant's parts: head, features, evoked responses, background, and the participant itself."""
