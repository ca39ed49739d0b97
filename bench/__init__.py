"""Measuring Wicket beside its peers: the same bodies, the same load, the same machine, in one run."""
