"""A population of players alike, in three views: agents, exact chain, large-population limit."""
