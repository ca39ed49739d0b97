"""Bringing the real compose file up and using it: `make compose-test`. Not part of `make check`."""
