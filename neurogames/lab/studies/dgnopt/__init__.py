"""What of the dynamic game theoretic neural optimizer holds, beside today's optimizers."""
