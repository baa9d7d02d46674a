"""Games taken out of networks, as data of the games floor."""
