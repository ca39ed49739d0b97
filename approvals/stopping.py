"""What a kill can name that stops a caller, by the scopes of `sessions/killswitch.py`.

Nothing of what was stopped is decided, and what was granted before is granted no more; the stopping itself is not done
here.
"""

from collections.abc import Iterable, Mapping


def targets(principal: Mapping[str, str], sessions: Iterable[str], server: str) -> list[tuple[str, str]]:
    """Every `(scope, target)` whose kill stops this caller, in these sessions, at this server."""
    named = {"key": "key_id", "agent": "agent", "user": "user", "team": "team", "tenant": "tenant"}
    found = [(scope, principal[member]) for scope, member in named.items()]
    found += [("session", one) for one in sessions]
    return [*(one for one in [*found, ("server", server)] if one[1]), ("all", "")]
