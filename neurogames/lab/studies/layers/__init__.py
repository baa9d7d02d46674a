"""The study of layers as players: which to fine-tune, which is finished, and how large a step they bear."""
