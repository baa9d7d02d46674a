"""Joint training of weights and participation, and the certificate of its end.

- ``joint_training``: ``train_participation``, many runs at once, through the loop of ``bridge.training``.
- ``participation_rule``: what a rule of joint training is.
- ``paper_rule``, ``fee_rule``: the rule as printed, and the one that can be solved.
- ``price_path``: how the price of taking part rises, or clears.
- ``gated_stack``: the gated networks that are trained.
- ``training_result``: what comes out.
- ``certificate``: whether the end is an equilibrium, by running the network without each unit.
"""
