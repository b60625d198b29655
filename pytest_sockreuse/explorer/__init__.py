"""Looking for scenarios at which an OS and a model, or two models, part. Hypothesis is imported by `draw` only."""
