"""Gradient dropout against its controls, over data sets: the main study."""
