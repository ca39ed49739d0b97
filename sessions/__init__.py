"""Runs: which exchange belongs to which, loops inside one, and stopping one."""
