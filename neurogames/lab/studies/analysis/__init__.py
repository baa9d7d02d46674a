"""The analysis of one network: which equilibrium it is in, and the game that its units play.

settings  what is asked
rows      a network's rows by name, or from a file of arrays
measure   every number, as one labelled data set
analysis  tables and sentences from these numbers
plots     figures
page      the page
run       from a network in memory to a folder with the page
"""
