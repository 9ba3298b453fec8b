"""The command line, against moto."""
