"""How each provider wants to be addressed and authenticated."""
