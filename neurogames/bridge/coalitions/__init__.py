"""Units as players of a coalition game: the masked network, its worth, who matters."""
