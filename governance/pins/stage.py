"""The check named `pins`: a tool or prompt is used only as it was trusted."""

from dataclasses import dataclass

from governance.exchange import Action, Exchange, Phase
from governance.pins.pin import Kind
from governance.pins.pins import BY, Pins
from governance.stage import Thought
from governance.verdict import ALLOWED

_KINDS = {Action.TOOL_CALL: Kind.TOOL, Action.PROMPT_GET: Kind.PROMPT}


@dataclass(eq=False)
class PinStage:
    """Refuses what is not as it was trusted. Also asked again after a person approved a call."""

    pins: Pins
    name: str = BY

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Refused with the page on which a person decides; or nothing to say.

        Raises:
            Exception: the pins cannot be read; the guard refuses.
        """
        kind = _KINDS.get(exchange.action)
        if kind is None or phase is not Phase.REQUEST:
            return ALLOWED
        resource = exchange.resource
        used = (resource.server, kind, resource.name, resource.definition)
        return self.pins.known(*used) if self.pins.is_fresh else self.pins.standing(*used)
