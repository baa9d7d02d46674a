"""Games taken out of networks, as data of the games floor.

participation_game  the game that the units of a trained network play, layer by layer
interaction         which units compete, as a graph
public_goods_game   the gain of a layer's units by how many take part, which good it is, and who stays at a fee
open_network        layers as open games, whose composition gives the gradients
update_game         candidate updates of layers as a game in normal form: which joint updates are equilibria
nash_gap            what layers, units or blocks of a network could gain alone and together, and which equilibrium it is

``nash_gap`` rests on ``network_players`` (who holds which parameters), ``player_loss`` (the loss in what one player
holds), ``affine_players`` and ``deviation_search`` (best deviations, in closed form and by search; ``unilateral``
chooses), ``own_curvature``, ``symmetries``, and ``nash_verdict`` (the notions and their words).
"""
