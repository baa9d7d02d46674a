"""Polymatrix games in three views: players on a graph, the exact chain of their profiles, and independent players."""
