"""What an approval is good for: the call that waited, or the one that a person made of it, judged once more.

It acts on nothing: that is the business of `pipeline/passage.py`; what a change is, of `approvals/amendment.py`.
"""

from dataclasses import replace

from approvals.amendment import changes, told
from approvals.desk import Held
from governance import jsontree
from governance.exchange import Body, Exchange, Phase
from governance.jsontree import JsonObject
from governance.verdict import Decision, Verdict, charters_of
from pipeline.asking import judge
from pipeline.judge import Judgement, version_of
from pipeline.stages import Stages

OUTDATED = "the rules changed while the call waited: make it again"
USED = "the approval was used, or ran out, before the call could run: make it again"


async def judged_again(
    stages: Stages, judged: Judgement, held: Held, received: Body
) -> tuple[Judgement, Verdict | None, Body]:
    """Judge what was approved as things are now: the call that waited, or the one that a person made of it.

    What a person wrote passes every check that any call passes.

    Returns:
        The call to make, why it must not be made if it must not, and the request in which things were found.
    """
    if held.arguments is None:
        again = await judge(stages.rejudge, judged.exchange, Phase.REQUEST)
        if again.winner.decision.strength > Decision.HOLD.strength:
            return judged, again.winner, received
        same = again.exchange.request is judged.exchange.request and not outdated(again, judged)
        return judged, None if same else refused(OUTDATED), received
    fresh = rewritten(judged.exchange, held.arguments)
    again = await judge(stages.request, fresh, Phase.REQUEST)
    if again.winner.decision.strength > Decision.HOLD.strength:
        return again, again.winner, fresh.request
    why = asks_more(again, judged)
    return again, refused(why) if why else None, fresh.request


def rewritten(exchange: Exchange, arguments: JsonObject) -> Exchange:
    """The call as the person wrote it. Nothing was found in it yet."""
    message = jsontree.as_object(exchange.request.value)
    params: JsonObject = {**jsontree.as_object(message.get("params")), "arguments": arguments}
    return replace(exchange, request=exchange.request.rewritten({**message, "params": params}), findings=())


def asks_more(again: Judgement, before: Judgement) -> str:
    """Why the approval does not cover a changed call that nothing refuses, in words; empty if it does.

    A person answered the rules that asked then. A rule that asks only now, or asks for other people, was not answered.
    """
    if version_of(again) != version_of(before):
        return OUTDATED
    asks = _askers(again) - _askers(before)
    if asks or outdated(again, before):
        rules = " by " + ", ".join(f"`{rule or by}`" for by, rule in sorted(asks)) if asks else ""
        return f"a person changed the arguments, and what they wrote is held as well{rules}: make the call again"
    return ""


def _askers(judged: Judgement) -> set[tuple[str, str]]:
    """The checks and rules that hold."""
    holding = [one for one in judged.verdicts if one.decision is Decision.HOLD]
    return {(one.by, rule) for one in holding for rule in (one.rule, *one.also)}


def outdated(again: Judgement, before: Judgement) -> bool:
    """Whether the rules are others now, or ask for more people or other ones."""
    more = not set(charters_of(again.verdicts)) <= set(charters_of(before.verdicts))
    return more or version_of(again) != version_of(before)


def refused(why: str, rule: str = "approval.stale") -> Verdict:
    """What becomes of a call whose approval is good no more, or not for it."""
    return Verdict(Decision.DENY, by="approval", rule=rule, reason=why)


def notices(asked: Exchange, made: Exchange) -> list[str]:
    """What the agent is told of the call that is made instead of the one that it asked for."""
    found = changes(asked.arguments, made.arguments)
    return [told(found)] if found else []
