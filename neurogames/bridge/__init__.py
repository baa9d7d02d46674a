"""Games and torch networks, mapped onto each other."""
