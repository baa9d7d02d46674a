"""Game-theoretic questions about neural networks: simulate, solve, train, and compare honestly.

Games and engine are re-exported here and load on first use; the parts that need torch are in
``neurogames.bridge``, experiments and the command line in ``neurogames.lab``.
"""

import lazy_loader as lazy

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
