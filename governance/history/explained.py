"""Why an exchange was decided as it was: the rules of that time, each with its answer."""

from dataclasses import dataclass

from anyio import to_thread

from governance.history.recorded import Half, recall
from governance.history.store import SqlVersions
from governance.policy.engine import Policy
from governance.policy.explain import RuleAnswer, answers
from governance.policy.load import PolicyError, compile_sources
from governance.policy.partial import weigh
from governance.store import Store


@dataclass(frozen=True, slots=True)
class Explained:
    """One half of an exchange, explained."""

    half: Half
    answers: tuple[RuleAnswer, ...]
    """Each rule of the policy that judged, in the order of its files; empty where they cannot be asked."""
    notes: tuple[str, ...]
    """What a reader must know: what is missing, and by which rules the answers are."""


async def explained(store: Store, exchange_id: str) -> list[Explained]:
    """The halves of an exchange that were judged, each explained; empty if there is no such exchange.

    Raises:
        StoreError: the database cannot be read.
    """
    return [await _explained(store, half) for half in await recall(store, exchange_id)]


async def _explained(store: Store, half: Half) -> Explained:
    notes = [half.why] if half.why else []
    if half.exchange is None or half.unasked:
        return Explained(half, (), tuple(notes))
    policy, note = await _policy_of(store, half)
    if policy is None:
        return Explained(half, (), (*notes, note))
    found = answers(policy, half.exchange, half.phase, half.around, half.gaps)
    if any(one.outcome == "unknown" for one in found) and not half.kept:
        notes.append("only the event of this exchange was kept, so not every rule can be asked again (`replay.keep`)")
    again = weigh(policy, half.exchange, half.phase, half.around, half.gaps)
    if half.decision is not None and again.decision not in (half.decision, None):
        notes.append(f"asked again these rules say `{again.decision.value}`: what is kept does not tell everything")
    return Explained(half, found, (*notes, *([note] if note else [])))


async def _policy_of(store: Store, half: Half) -> tuple[Policy | None, str]:
    """The policy that judged, and what is to be said of it."""
    if not half.version:
        return None, "which policy judged is not recorded, so its rules cannot be asked again"
    found = [one for one in await SqlVersions(store).named(half.version) if one.version == half.version]
    if not found:
        return None, f"policy {half.version[:12]} was not kept, so its rules cannot be asked again"
    try:
        # In a thread: the process that explains may have calls to answer meanwhile.
        return await to_thread.run_sync(compile_sources, found[0].sources), ""
    except PolicyError as error:
        return None, f"policy {half.version[:12]} cannot be used by this version of Wicket: {error.problems[0]}"
