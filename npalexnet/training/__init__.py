"""Training a network: the loop, and the folder that a run writes."""
