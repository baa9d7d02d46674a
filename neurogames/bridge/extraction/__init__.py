"""Games taken out of networks, as data of the games floor.

participation_game  the game that the units of a trained network play, layer by layer
interaction         which units compete, as a graph
"""
