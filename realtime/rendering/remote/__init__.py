"""Workers on other machines, reached over MQTT."""
