"""CuPy: kernels, matrix products, streams, graphs and precision on an NVIDIA GPU."""
