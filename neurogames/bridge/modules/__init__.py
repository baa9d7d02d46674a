"""What every room of the bridge needs of torch modules: names, hooks, units, stacks, one check of data."""
