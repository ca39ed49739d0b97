"""The budget check of the pipeline: reserves what a call may use at most before it is made, and settles what it did.

The counters are shared by all processes (`store.py`) and changed in one statement each, so ceilings hold under
concurrency. A process that dies between the two leaves its reservation counted: a ceiling errs by refusing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

import anyio

from governance import jsontree
from governance.budget.prices import Prices, Used
from governance.clock import Clock, rfc3339
from governance.config.models import Budget
from governance.exchange import Action, Exchange, Phase
from governance.jsontree import Json
from governance.stage import Outcome, Thought
from governance.verdict import ALLOWED, Decision, Verdict

BYTES_PER_TOKEN = 3
"""For the reservation, so that it is rather too large; what was really used replaces it."""
DEFAULT_OUTPUT = 4096
"""Output tokens reserved where a request sets no limit."""
RESERVE_SECONDS = 10
"""How long a reservation may take; one that takes longer stays counted, and its call is refused."""
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_PAID = frozenset((Action.LLM_GENERATE, Action.LLM_EMBED))
_COUNTED = _PAID | {Action.TOOL_CALL}
_WRITTEN_NUMBER = re.compile(r"\s*\+?(\d{1,18})(?:\.\d*)?\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Amount:
    """What is used, or the most that may be; `None` is no ceiling."""

    micro_usd: int | None = 0
    """Millionths of a US dollar."""
    tokens: int | None = 0
    calls: int | None = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A counter and its ceiling."""

    scope: str
    """Whose: `tenant:acme`."""
    window: str
    started_at: str
    """Start of the window; empty where it has none."""
    ceiling: Amount


class OverBudgetError(Exception):
    """A ceiling would be passed. Nothing was reserved."""

    def __init__(self, claim: Claim, used: Amount) -> None:
        self.claim = claim
        self.used = used
        super().__init__(claim.scope)


class Counters(Protocol):
    """The shared counters."""

    async def reserve(self, claims: Sequence[Claim], amount: Amount) -> Sequence[Amount]:
        """Add `amount` to every counter, or to none; returns what each then holds.

        Raises:
            OverBudgetError: a ceiling would be passed.
        """
        ...

    async def adjust(self, claims: Sequence[Claim], by: Amount) -> None:
        """Add a difference, which may be negative, to every counter."""
        ...


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was reserved for one exchange."""

    claims: tuple[Claim, ...]
    amount: Amount
    utilization: int
    """Percent of the fullest ceiling, reservation included."""


class BudgetStage:
    """Holds the ceilings of the configuration. Without any it does nothing at all."""

    name = "budget"

    def __init__(self, budgets: Sequence[Budget], *, counters: Counters, prices: Prices, clock: Clock) -> None:
        self._budgets = tuple(budgets)
        self._counters = counters
        self._prices = prices
        self._clock = clock
        self._open: dict[str, Reservation] = {}

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Reserve, or refuse. Only calls of models and tools count."""
        if not self._budgets or phase is not Phase.REQUEST or exchange.action not in _COUNTED:
            return ALLOWED
        claims = self._claims(exchange)
        return self._reserve(claims, exchange) if claims else ALLOWED

    async def _reserve(self, claims: tuple[Claim, ...], exchange: Exchange) -> Verdict:
        amount = self._most(exchange)
        if amount.micro_usd is None:
            if any(claim.ceiling.micro_usd is not None for claim in claims):
                return self._refuse("budget.price", "the price of this model is not known: add it to `prices`")
            amount = Amount(0, amount.tokens, amount.calls)
        try:
            # A caller that leaves meanwhile leaves it done all the same, so it must be known what to give back.
            with anyio.fail_after(RESERVE_SECONDS, shield=True):
                used = await self._counters.reserve(claims, amount)
        except OverBudgetError as over:
            return self._refuse("budget.exceeded", _explained(over))
        full = max(_percent(holds, claim.ceiling) for holds, claim in zip(used, claims, strict=True))
        self._open[exchange.id] = Reservation(claims, amount, full)
        return ALLOWED

    def owes(self, exchange: Exchange) -> bool:
        """Whether anything is reserved for the exchange."""
        return exchange.id in self._open

    async def settle(self, exchange: Exchange, outcome: Outcome) -> None:
        """Replace what was reserved by what was used; a call that was never made gives everything back."""
        held = self._open.pop(exchange.id, None)
        if held is None:
            return
        difference = _difference(self._used(exchange, outcome, held.amount), held.amount)
        if difference != Amount():
            await self._counters.adjust(held.claims, difference)

    def utilization(self, exchange_id: str) -> int | None:
        """Percent of the fullest ceiling that an open exchange counts against; `None` where there is no ceiling."""
        held = self._open.get(exchange_id)
        return held.utilization if held else None

    def _claims(self, exchange: Exchange) -> tuple[Claim, ...]:
        """The counters of an exchange, each once, with the lowest of its ceilings."""
        found: dict[tuple[str, str], Claim] = {}
        for budget in self._budgets:
            scope = _scope(budget, exchange)
            if not scope:
                continue
            key = (scope, budget.per)
            ceiling = Amount(None if budget.usd is None else _micro(budget.usd), budget.tokens, budget.calls)
            if key in found:
                ceiling = _lowest(found[key].ceiling, ceiling)
            found[key] = Claim(scope, budget.per, _start(budget.per, self._clock.now()), ceiling)
        return tuple(found.values())

    def _most(self, exchange: Exchange) -> Amount:
        """The most a call may use, as far as can be told before; money is `None` where no price is known."""
        if not _is_paid(exchange):
            return Amount(0, 0, 1)
        request = jsontree.as_object(exchange.request.value)
        # Of several limits a server takes the one it knows, so the highest counts.
        limits = [number for name in _LIMITS if (number := _number(request.get(name))) is not None]
        asked = max(limits, default=DEFAULT_OUTPUT)
        output = max(asked, 0) * max(_number(request.get("n")) or 1, 1) if exchange.action is Action.LLM_GENERATE else 0
        used = Used(exchange.resource.model, -(-len(exchange.request.raw) // BYTES_PER_TOKEN), output)
        dollars = self._prices.dollars(used.model, used)
        return Amount(None if dollars is None else _micro(dollars), used.input_tokens + used.output_tokens, 1)

    def _used(self, exchange: Exchange, outcome: Outcome, reserved: Amount) -> Amount:
        """What a call really used, also if its answer was withheld; what nobody knows stays as reserved."""
        tokens = outcome.input_tokens + outcome.output_tokens
        if outcome.status in ("refused", "pending") and not tokens and exchange.response is None:
            return Amount()
        if not _is_paid(exchange):
            return reserved
        if not tokens:
            return Amount(0, 0, 1) if outcome.status == "error" else reserved
        dollars = _micro(Decimal(outcome.cost_usd)) if outcome.cost_usd else reserved.micro_usd
        return Amount(dollars, tokens, 1)

    def _refuse(self, rule: str, reason: str) -> Verdict:
        return Verdict(Decision.DENY, by=self.name, rule=rule, reason=reason)


def _number(value: Json) -> int | None:
    """The whole number that a server might read: some take `3.0` and `"3"` for 3. `None` for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    written = _WRITTEN_NUMBER.fullmatch(value) if isinstance(value, str) else None
    return int(written[1]) if written else None


def _is_paid(exchange: Exchange) -> bool:
    """Whether tokens are paid for: not by tools, nor where a model's provider only counts them."""
    return exchange.action in _PAID and exchange.facts.get("metered") is not False


def _scope(budget: Budget, exchange: Exchange) -> str:
    """Whose counter it is; empty where the exchange has no such thing."""
    principal, session = exchange.principal, exchange.session
    whose = {
        "session": f"session:{session.id}",
        "key": f"key:{principal.key_id}",
        "tenant": f"tenant:{principal.tenant}",
        "team": f"team:{principal.tenant}/{principal.team}" if principal.team else "",
    }[budget.scope]
    return f"{whose} session:{session.id}" if whose and budget.per == "session" and budget.scope != "session" else whose


def _start(per: str, now: datetime) -> str:
    if per == "session":
        return ""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if per == "week":
        day -= timedelta(days=day.weekday())
    return rfc3339(day.replace(day=1) if per == "month" else day)


def _micro(dollars: Decimal) -> int:
    return int((dollars * 1_000_000).to_integral_value(ROUND_CEILING))


def _lowest(one: Amount, other: Amount) -> Amount:
    def lower(mine: int | None, theirs: int | None) -> int | None:
        return min((value for value in (mine, theirs) if value is not None), default=None)

    return Amount(lower(one.micro_usd, other.micro_usd), lower(one.tokens, other.tokens), lower(one.calls, other.calls))


def _difference(used: Amount, reserved: Amount) -> Amount:
    return Amount(
        (used.micro_usd or 0) - (reserved.micro_usd or 0),
        (used.tokens or 0) - (reserved.tokens or 0),
        (used.calls or 0) - (reserved.calls or 0),
    )


def _parts(used: Amount, ceiling: Amount) -> list[tuple[str, int, int]]:
    """Name, use and ceiling of everything that is limited."""
    pairs = (
        ("money", used.micro_usd, ceiling.micro_usd),
        ("tokens", used.tokens, ceiling.tokens),
        ("calls", used.calls, ceiling.calls),
    )
    return [(name, use or 0, most) for name, use, most in pairs if most is not None]


def _percent(used: Amount, ceiling: Amount) -> int:
    return max((100 * use // most for _, use, most in _parts(used, ceiling)), default=0)


def _explained(over: OverBudgetError) -> str:
    """Which ceiling stands in the way, with its numbers; whose it is stands in the audit log already."""
    kind = over.claim.scope.partition(":")[0]
    shown = [
        f"{_money(use)} of {_money(most)} US dollars" if name == "money" else f"{use} of {most} {name}"
        for name, use, most in _parts(over.used, over.claim.ceiling)
    ]
    return f"the budget of this {kind} per {over.claim.window} does not allow it: used or reserved are " + ", ".join(
        shown
    )


def _money(micro: int) -> str:
    return format((Decimal(micro) / 1_000_000).quantize(Decimal("0.01"), ROUND_CEILING), "f")
