"""The command line: for people, with their own credentials. Not in the package of the functions."""
