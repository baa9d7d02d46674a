"""Networks made smaller: units removed for good, the function kept, size and speed measured.

channels       which channels of which tensors belong together
layers         linear layers and convolutions in one form, and what is left of them
operations     which torch operations do what to channels, by name
rules          what each kind of operation does to labels and constants
meeting        where tensors meet entry by entry
attention      where heads are made of products of tensors
known_tensors  what is known of the tensors of one run
following      one run of a model under which its channels are followed, in both modes
structure      what code asks of the numbers of channels that leave
editing        a network without some of its channels
cutting        which channels can leave, and the network without them
coupling       units that can only leave together, and profiles that treat them alike
plain_model    a copy of a model in which every weight is a plain parameter
prune          a smaller network from shares of its units
rebuilding     a pruned network built again from its weights and sizes
importance     the usual importances of units: magnitude, Taylor
work           parameters, multiply-adds, measured speed
"""
