"""Two populations that play a bimatrix game, in three views: agents, exact chain, mean field."""
