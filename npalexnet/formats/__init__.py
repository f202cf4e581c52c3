"""Files of weights that other programs write, read without those programs and without executing anything in them."""
