"""What may fail where Wicket translates between the eras, check by check, and why.

Held both ways: any other check that fails fails the command, and so does one of these that passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LEGACY_TO_MODERN = "Wicket, legacy client to modern-only server"
MODERN_TO_LEGACY = "Wicket, modern client to legacy-only server"


@dataclass(frozen=True)
class Pin:
    """The checks of one scenario that fail, by their ids, and the reason in words."""

    checks: frozenset[str]
    reason: str


PINNED: Mapping[str, Mapping[str, Pin]] = {
    LEGACY_TO_MODERN: {},
    MODERN_TO_LEGACY: {
        "server-stateless": Pin(
            frozenset({"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"}),
            "a server of the older era has no error code for a capability that the client lacks: its own error, which "
            "says so in words, arrives as it was sent",
        ),
        "input-required-result-basic-elicitation": Pin(
            frozenset({"sep-2322-elicitation-incomplete"}),
            "the scenario wants the question under the key `user_name`; a request of the older era has no key, so "
            "Wicket gives it one",
        ),
        "input-required-result-ignore-extra-params": Pin(
            frozenset({"sep-2322-ignore-unexpected-params"}),
            "the scenario answers a question before it was put, again under `user_name`; Wicket gives a server of the "
            "older era only answers to what it has asked, and asks",
        ),
    },
}
"""Arrangements to scenarios. An arrangement that is not in here may fail nothing that the suite scores."""
