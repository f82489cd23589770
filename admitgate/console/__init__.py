"""The operator's page: what an event's line is doing, and the hands on it, with a name to each."""
