"""Games over stages and repeated choice: linear-quadratic games, bandits."""
