"""Networks made smaller: units removed for good, the function kept, size and speed measured.

channels       which channels of which tensors belong together
operations     which torch operations do what to channels, by name
rules          what each kind of operation does to labels and constants
known_tensors  what is known of the tensors of one run
following      one run of a model under which its channels are followed
cutting        which channels can leave, and the network without them
prune          a smaller network from shares of its units
importance     the usual importances of units: magnitude, Taylor
work           parameters, multiply-adds, measured speed
"""
