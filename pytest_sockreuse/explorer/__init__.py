"""Looking for scenarios in which an OS and a model, or two models, differ."""
