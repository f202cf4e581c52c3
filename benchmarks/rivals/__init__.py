"""AlexNet in each library, and its matrix products alone."""
