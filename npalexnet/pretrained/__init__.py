"""Weights that others have trained: whose they are, how pictures are prepared for them, and their classes."""
