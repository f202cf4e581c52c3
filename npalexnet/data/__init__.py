"""Images and labels: reading them, and making the network's input of them."""
