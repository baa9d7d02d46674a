"""Repeated choice: bandits."""
