"""Games and torch networks, mapped onto each other. Names load on first use, and torch with the first of them.

One folder for each trade, in storeys; imports go down only.

Top: ``participation`` (weights and shares trained together), ``pruning``, ``measures`` (robustness, composition),
``extraction`` (games out of networks).
Middle: ``gates`` (a share for each unit), ``coalitions`` (networks as coalition games), ``ensembles`` (many small
networks at once), ``curvature`` (second derivatives).
Ground: ``training`` (one loop for any optimizer and any rule), ``feedback`` (gradient dropout, noise on targets),
``coalition_filter`` (coalitions inside a layer), and below them ``modules`` (what a torch module means to a game).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
