"""The command line, on an installation in moto."""
