"""The page on which browsers watch and steer a session."""
