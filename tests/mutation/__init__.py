"""Takes things out of the code, one at a time, to see whether the tests notice."""
