"""What exchanges cost, and the ceilings on it."""
