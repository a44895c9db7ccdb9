"""One file a command; each has ``register(app)`` and imports what is heavy only when it runs."""
