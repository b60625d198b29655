"""gVisor: `calls` is where to begin, the other files follow the packages of its network stack."""
