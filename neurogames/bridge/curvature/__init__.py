"""Second derivatives of the loss of a network, as operators `A @ v`."""
