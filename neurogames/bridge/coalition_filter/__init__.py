"""Layers that let strong coalitions through, the network built of them, and maps that explain it."""
