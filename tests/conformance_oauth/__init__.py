"""Wicket's own OAuth client under the conformance suite of the protocol. `client.py` says how to run it."""
