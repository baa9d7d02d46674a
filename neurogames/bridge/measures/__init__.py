"""What is measured on trained networks: robustness, composition."""
