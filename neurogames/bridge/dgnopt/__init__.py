"""Training as a dynamic game in which the layers of a network are the players (DGNOpt).

``stages`` says which layer acts when, ``recorded_pass`` what a pass through the network leaves behind, ``metric`` and
``joint_metric`` how curvature turns slopes into gains, ``value`` how the cost-to-go runs backward row by row, ``sweep``
puts them together, ``closure_pass`` calls the closure, and ``dgnopt`` is the optimizer.
"""
