"""What people allowed of loops: some more calls of what repeats, or a tool for the rest of a run.

Pure, and as short of memory as `loops.py`: a process that forgot what repeated need not know what was allowed of it.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

RUNS = 10_000
"""Most runs of which anything allowed is remembered; the one allowed something longest ago is forgotten first."""


@dataclass(slots=True)
class _Granted:
    more: dict[bytes, int] = field(default_factory=dict[bytes, int])
    tools: set[str] = field(default_factory=set[str])


class Grants:
    """Remembers what was allowed, for each run."""

    def __init__(self, *, runs: int = RUNS) -> None:
        self._most = runs
        self._runs: OrderedDict[str, _Granted] = OrderedDict()

    def allow(self, run: str, what: bytes, more: int) -> None:
        """Let `more` further calls of what repeats pass, uncounted."""
        self._of(run).more[what] = more

    def spare(self, run: str, tool: str) -> None:
        """Take no more notice of a tool in this run."""
        self._of(run).tools.add(tool)

    def forget(self, run: str) -> None:
        """Nothing is allowed of this run any more."""
        self._runs.pop(run, None)

    def spared(self, run: str, tool: str) -> bool:
        """Whether a tool is taken no notice of."""
        granted = self._runs.get(run)
        return granted is not None and tool in granted.tools

    def spend(self, run: str, what: bytes) -> bool:
        """Use one of the calls that were allowed, if any is left."""
        granted = self._runs.get(run)
        left = granted.more.get(what, 0) if granted is not None else 0
        if granted is None or not left:
            return False
        granted.more[what] = left - 1
        return True

    def _of(self, run: str) -> _Granted:
        granted = self._runs.get(run)
        if granted is None:
            granted = self._runs[run] = _Granted()
        self._runs.move_to_end(run)
        while len(self._runs) > self._most:
            self._runs.popitem(last=False)
        return granted
