"""What a machine and a stream are fit for, checked before a session."""
