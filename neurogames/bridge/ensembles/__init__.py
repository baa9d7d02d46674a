"""Many small networks trained at once, with dropped or mean feedback, or noisy targets.

- ``ensemble``: ``train_ensemble``, and what it returns.
- ``networks``: multilayer perceptrons of one shape as stacked tensors.
- ``predicted_training``: what a training with gradient dropout will give, with a band, before it is run.
- ``per_network``: settings of which each network may have its own.
- ``training``: how networks are taken through their epochs.
- ``stacked_steps``: what one step is, for all networks at once by torch.
- ``compiled_steps``: the same steps compiled, one network after the other in the processor's cache.
- ``step_kernels``: the kernels of the latter.
- ``coins``: the factors that weigh the feedback to hidden units.
- ``streams``: random numbers by counting, each network its own.
"""
