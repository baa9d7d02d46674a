"""Training of any module with any torch optimizer, and with rules that act beside it.

- ``train``: trains one module, the door for users.
- ``loop``: the one loop, which joint training goes through too; what one step is.
- ``rule``: what may act on a training beside the optimizer.
- ``network``: what the loop trains, one module or a stack of them.
- ``state``: a training after an epoch as plain tensors and numbers, and how it goes on from there.
"""
