"""Results written and drawn."""
