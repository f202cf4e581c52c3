"""An interactive page of one picture's way through a trained network, forward and backward, with all the numbers.

`passes` computes; `steps` asks `convolution`, `pooling`, `normalization` and `linear` what the page needs to know of
each layer; `content` puts that together, and `page` joins it with the HTML, the style and the scripts of this folder.
"""
