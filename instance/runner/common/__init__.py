"""What more than one of the packages needs."""
