"""Many small networks trained at once, with dropped feedback or noisy targets.

- ``ensemble``: ``train_ensemble``, and what it returns.
- ``networks``: multilayer perceptrons of one shape as stacked tensors.
- ``training``: how networks are taken through their epochs.
- ``stacked_steps``: what one step is, for all networks at once by torch.
- ``compiled_steps``: the same steps compiled, one network after the other in the processor's cache.
- ``streams``: random numbers by counting, each network its own.
"""
