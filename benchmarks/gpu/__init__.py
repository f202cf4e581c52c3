"""The questions for the GPU, and what only they need."""
