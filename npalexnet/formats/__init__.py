"""Files of weights as other programs have them, read and written without those programs, executing nothing in them."""
