"""A check: tools are used only in working hours, in UTC. What models are asked is not its business."""

from governance.clock import Clock
from governance.exchange import Action, Exchange, Phase
from governance.verdict import ALLOWED, Decision, Verdict

SATURDAY = 5


class WorkingHoursStage:
    """Refuses tool calls at night and on weekends."""

    name = "hours"

    def __init__(self, clock: Clock, *, opens: int = 8, closes: int = 18) -> None:
        """Take the only source of time, and the hours between which tools may be used."""
        self._clock = clock
        self._opens = opens
        self._closes = closes

    def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """What the clock says of a tool call."""
        if exchange.action is not Action.TOOL_CALL or phase is not Phase.REQUEST:
            return ALLOWED
        now = self._clock.now()
        if now.weekday() < SATURDAY and self._opens <= now.hour < self._closes:
            return ALLOWED
        reason = f"tools may be used from {self._opens} to {self._closes} h UTC on working days: call again then"
        return Verdict(Decision.DENY, by=self.name, rule="hours.closed", reason=reason)
