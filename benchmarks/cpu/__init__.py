"""The questions for the CPU, one a file."""
