"""What the units of a saved network are worth."""
