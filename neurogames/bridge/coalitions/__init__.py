"""Units as players of a coalition game: the network without some of them, its worth, who matters.

network_graph     a network cut in two behind one of its layers
masked_runs       three ways of running a network with replaced units
masked_network    the choice among them, and means over rows for many sets of units
row_worths        what the outputs are worth, row by row
right_answers     which answers of many networks at once are right
coalition_values  the coalition game of a layer's units
unit_scores       cheap scores without coalitions: magnitude, gradient times activation
removal           removal curves, and orders of removal by several values
pathways          which units of one layer feed which units of a later one
"""
