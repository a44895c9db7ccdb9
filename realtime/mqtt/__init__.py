"""MQTT: addresses, topics, the connection, an embedded broker."""
