"""Closed-loop control over MQTT: commands in, percepts and state out."""
