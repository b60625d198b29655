"""Windows 10 and 11, Windows Server 2016 to 2025: `calls` is where to begin."""
