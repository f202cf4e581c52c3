"""Using a trained network: the classifier, and validation data prepared for it."""
