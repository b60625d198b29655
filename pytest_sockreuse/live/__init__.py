"""Performing a scenario on this OS."""

PATIENCE = 0.2  # seconds that accept and recv wait for something to return


class NotRun(Exception):
    """This machine cannot ask what the scenario asks; the message says why, and what would allow it."""
