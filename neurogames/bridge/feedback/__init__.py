"""Who hears the gradient, and with what noise: gradient dropout, target noise."""
