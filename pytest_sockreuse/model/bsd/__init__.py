"""The BSDs: a file for each system says which clauses it has; `calls` and what it asks is what they have in common."""
