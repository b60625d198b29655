"""Linux from 5.7 on: `calls` is where to begin, the other files are the parts of the kernel that it asks."""
