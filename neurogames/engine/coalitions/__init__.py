"""What players of a coalition game are worth, and which allocations hold together."""
