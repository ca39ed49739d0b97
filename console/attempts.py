"""How often somebody may fail to come in before they are told to wait.

Pure, and by the address of the connection, which is the only thing known of a stranger. Who shows a good key is let in
always: behind one proxy all have one address, and whoever guesses from there must not lock those out who would stop a
run. Guessing itself is hopeless (256 random bits); what is bounded is what guessing costs us.
"""

from dataclasses import dataclass, field

BURST = 10
"""Failures that are answered plainly."""
SECONDS_EACH = 6.0
"""How soon after it one more is."""
MOST = 10_000
"""Addresses that are remembered; the one that failed longest ago is forgotten first."""


@dataclass
class Attempts:
    """Failures by address."""

    _spent: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """Failures that count still, and when that was reckoned."""

    def failed(self, peer: str, now: float) -> int:
        """Count a failure; returns how many seconds to wait, 0 where none.

        Args:
            peer: address of the connection.
            now: by the monotonic clock, in seconds.
        """
        spent, since = self._spent.pop(peer, (0.0, now))
        spent = max(0.0, spent - (now - since) / SECONDS_EACH)
        over = spent + 1 > BURST
        self._spent[peer] = (min(spent + 1, BURST), now)
        while len(self._spent) > MOST:
            del self._spent[next(iter(self._spent))]
        return max(1, round((spent + 1 - BURST) * SECONDS_EACH)) if over else 0
