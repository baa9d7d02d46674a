"""Players on a graph who revise."""
