"""Performing a scenario on this OS."""


class NotRun(Exception):
    """This machine cannot ask what the scenario asks; the message says why, and what would allow it."""
