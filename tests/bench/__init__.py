"""What the sweep, the checks and the rules cost: `make bench`."""
