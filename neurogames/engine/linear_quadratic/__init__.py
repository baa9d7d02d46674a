"""Linear-quadratic games over stages."""
