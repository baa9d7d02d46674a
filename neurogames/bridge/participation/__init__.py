"""Joint training of weights and participation, and the certificate of its end."""
