"""illumos (OmniOS, SmartOS, OpenIndiana): `calls` is where to begin."""
