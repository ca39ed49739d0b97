"""The web page on which people approve, watch and stop."""
