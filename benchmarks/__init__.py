"""Benchmarks: `python -m benchmarks --help`. One file a question; README.md says how to read the answers."""
