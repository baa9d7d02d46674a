"""What is played: games as frozen data, on numpy alone (and networkx for graphs)."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
