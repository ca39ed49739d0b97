"""A first look at what a server says of itself, before it is trusted.

A definition is read by the model as part of its instructions, so injection in one is looked at by a person whatever
the configuration wants done about injection elsewhere. Everything else goes by the configured action.
"""

from collections.abc import Callable

from governance import jsontree
from governance.detect.actions import Actions
from governance.detect.detector import Detector
from governance.detect.stage import action_for
from governance.exchange import Role, Segment
from governance.jsontree import Json

Scan = Callable[[Json], tuple[str, ...]]
"""Kinds of what was found that a person must look at."""

_ALWAYS = "injection."


def scanner(detector: Detector, actions: Actions) -> Scan:
    """A scan with the rules in force. What it raises means that nothing is known."""

    def scan(value: Json) -> tuple[str, ...]:
        segments = [Segment(pointer, Role.DEFINITION, text) for pointer, text, _ in jsontree.walk(value)]
        kinds = {finding.kind for finding in detector.scan(segments)}
        return tuple(sorted(kind for kind in kinds if _is_grave(kind)))

    def _is_grave(kind: str) -> bool:
        return kind.startswith(_ALWAYS) or action_for(actions, kind, "", is_call=False) in ("hold", "deny")

    return scan


def nothing_found(_value: Json) -> tuple[str, ...]:
    """A scan that finds nothing, for those who only decide."""
    return ()
