"""Benchmarks: `python -m benchmarks --help`. One harness, one file a question; README.md says how to read them."""
