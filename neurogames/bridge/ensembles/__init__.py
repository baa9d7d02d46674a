"""Many small networks trained at once, with dropped feedback or noisy targets, and what one measures on them."""
