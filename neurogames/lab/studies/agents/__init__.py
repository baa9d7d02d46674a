"""Agents who play a game by a process: simulated, exact where that is small enough, and in the mean field."""
