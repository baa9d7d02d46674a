"""Gates on the units of a real network, and its loss as a function of them.

gate_places   where the units of a network can be gated
gate_weights  the parameters of its own with which a unit's share can be merged
gate_hooks    how a gate is put on a module and taken off again
gates         the gates of a model: inserted, found, assigned, removed
gated_loss    the loss as a function of the gates, for the time of one question
"""
