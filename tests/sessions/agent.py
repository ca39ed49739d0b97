"""An agent that plays traces to the loop check, and the words in which traces are written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from governance.config.models import Loop
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json, JsonObject
from governance.stage import Outcome
from governance.verdict import ALLOWED, NO_RELIEF, Decision, Relief, Verdict
from sessions.loop_stage import LoopStage
from tests.conftest import ManualClock
from tests.thoughts import told


@dataclass(frozen=True)
class Step:
    """One call and what it is answered."""

    tool: str
    arguments: Json
    answer: JsonObject
    reads: bool = False


Turn = Sequence[Step]
"""The calls that a model proposes in one turn, made at the same time."""


def call(
    tool: str, result: str | JsonObject = "ok", *, reads: bool = False, error: bool = False, **given: Json
) -> Step:
    """A call with the arguments `given`, answered by a text or by a whole result."""
    whole: JsonObject = result if isinstance(result, dict) else {"content": [{"type": "text", "text": result}]}
    whole = {**whole, "isError": True} if error else whole
    return Step(tool, dict(given), {"result": whole}, reads)


def alone(steps: Iterable[Step]) -> list[Turn]:
    """A turn for each of the calls."""
    return [(step,) for step in steps]


@dataclass
class Player:
    """Plays turns to a loop check. Whatever is held is approved; what is refused is not made."""

    numbers: Loop = field(default_factory=Loop)
    clock: ManualClock = field(default_factory=ManualClock)
    relief: Relief = NO_RELIEF
    """What the person who approves allows besides."""
    said: JsonObject = field(default_factory=dict[str, Json])
    """What the servers say of loops, where they are believed."""
    pause: float = 1.0
    """Seconds from one turn to the next."""
    stage: LoopStage = field(init=False)
    made: int = 0

    def __post_init__(self) -> None:
        self.stage = LoopStage(self.numbers, clock=self.clock, said=lambda _resource: self.said)

    async def play(self, turns: Iterable[Turn], run: str = "ses_1") -> list[Verdict]:
        """Everything that was said of the calls, those ignored of which nothing was."""
        said: list[Verdict] = []
        for turn in turns:
            asked = [(step, self.exchange(step, run)) for step in turn]
            before = [await told(self.stage.judge(exchange, Phase.REQUEST)) for _, exchange in asked]
            for (step, exchange), verdict in zip(asked, before, strict=True):
                behind = await self._go_on(step, exchange, verdict)
                said += [one for one in (verdict, behind) if one is not ALLOWED]
            self.clock.advance(self.pause)
        return said

    async def _go_on(self, step: Step, exchange: Exchange, verdict: Verdict) -> Verdict:
        if verdict.decision.strength > Decision.HOLD.strength:
            self.stage.settle(exchange, Outcome("refused"))
            return ALLOWED
        if verdict.decision is Decision.HOLD:
            self.stage.relieve(exchange, self.relief)
        answer = Body({"jsonrpc": "2.0", "id": self.made, **step.answer})
        behind = await told(self.stage.judge(exchange.answered(answer), Phase.RESPONSE))
        assert not self.stage.owes(exchange)
        return behind

    def exchange(self, step: Step, run: str = "ses_1") -> Exchange:
        """A call on its way."""
        self.made += 1
        server, _, tool = step.tool.partition("/")
        return Exchange(
            id=f"exc_{self.made}",
            at=datetime(2026, 11, 21, tzinfo=UTC),
            action=Action.TOOL_CALL,
            principal=Principal("key_1"),
            resource=Resource(server, tool, annotations={"readOnlyHint": True} if step.reads else {}),
            session=SessionRef(run, "explicit", 1),
            request=Body({"method": "tools/call", "params": {"name": tool, "arguments": step.arguments}}),
        )
