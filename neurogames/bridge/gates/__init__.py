"""Gates on the units of a real network, and its loss as a function of them."""
