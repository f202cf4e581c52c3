"""The layers, one file each; `layer.py` says what they have in common."""
