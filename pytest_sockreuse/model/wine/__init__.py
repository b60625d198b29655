"""Wine: `calls` is where to begin."""
