"""The pytest side: a file for each of pytest's options, imported by `plugin` when that option is used."""
