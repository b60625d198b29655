"""Performing a scenario on this OS."""
