"""Units that take part or stay out: gates on real networks, the games they play, joint training."""
