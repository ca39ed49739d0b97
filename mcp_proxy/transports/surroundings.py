"""What a server process gets of our environment. Loads nothing, so that the smallest of our processes can use it."""

from collections.abc import Mapping

INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "TMPDIR")
"""What a configured server gets. Everything else it must be given by name: our secrets are there."""

OUR_OWN = "WICKET_"
"""Prefix of our own variables, which even a wrapped command does not get."""


def of_configured(ours: Mapping[str, str]) -> dict[str, str]:
    """What a server of the configuration inherits."""
    return {name: ours[name] for name in INHERITED if name in ours}


def of_wrapped(ours: Mapping[str, str]) -> dict[str, str]:
    """What a wrapped command inherits: all that the agent gave us, without what is meant for us."""
    return {name: text for name, text in ours.items() if not name.startswith(OUR_OWN)}
