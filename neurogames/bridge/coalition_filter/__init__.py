"""Layers that let strong coalitions through, the network built of them, and maps that explain it.

window_energy: the energy of windows of units, and what each unit is worth in it.
gibbs_law: its Gibbs law, exactly.
strong_coalitions: which units are strong.
coalition_operators: the same as operators of torch.
compiled_coalitions: these operators on the CPU.
coalition_layers: the layer ``CoalitionFilter``.
neurogame_net: the published network, its gates for comparison, and a perceptron of as many parameters.
grad_cam: the map of one class by the gradient of its score.
attribution: maps of where a network looks, and how well they tell.
"""
