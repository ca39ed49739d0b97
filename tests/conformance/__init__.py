"""The official conformance suite, run directly and through Wicket: `python -m tests.conformance`."""
