"""Prepares an instance for an image: removes what is of the machine and of its runs, as a process of its own."""
