"""Using a trained network: the classifier, and the labelled images that it is judged by."""
