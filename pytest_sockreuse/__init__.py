"""Which bind, listen or connect fails, with which error, when sockets share a local port, on which OS and version?"""

__version__ = "0.1.0"
