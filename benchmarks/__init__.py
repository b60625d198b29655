"""What the project costs, as ratios against references taken in the same run: ``python -m benchmarks``."""
