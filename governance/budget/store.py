"""The table of counters. Only this file of the room speaks SQL."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session

from governance.budget.stage import Amount, Claim, OverBudgetError
from governance.store import Store

_KEY = 'scope = :scope AND "window" = :window AND started_at = :started_at'
_CREATE = text(
    """
    INSERT INTO counters (scope, "window", started_at, micro_usd, tokens, calls)
    VALUES (:scope, :window, :started_at, 0, 0, 0)
    ON CONFLICT (scope, "window", started_at) DO NOTHING
    """
)
_RESERVE = text(
    f"""
    UPDATE counters SET micro_usd = micro_usd + :micro_usd, tokens = tokens + :tokens, calls = calls + :calls
    WHERE {_KEY}
      AND micro_usd + :micro_usd <= :most_micro_usd AND tokens + :tokens <= :most_tokens
      AND calls + :calls <= :most_calls
    """  # noqa: S608 - constants of this file
)
_ADJUST = text(
    f"""
    UPDATE counters SET micro_usd = micro_usd + :micro_usd, tokens = tokens + :tokens, calls = calls + :calls
    WHERE {_KEY}
    """  # noqa: S608 - constants of this file
)
_READ = text(f"SELECT micro_usd, tokens, calls FROM counters WHERE {_KEY}")  # noqa: S608 - constants of this file
_NO_CEILING = 2**62


class SqlCounters:
    """Counters in the database, shared by all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def reserve(self, claims: Sequence[Claim], amount: Amount) -> Sequence[Amount]:
        """Add `amount` to every counter, or to none; returns what each then holds.

        Raises:
            OverBudgetError: a ceiling would be passed.
        """

        def work(session: Session) -> list[Amount]:
            held: list[Amount] = []
            for claim in claims:
                session.connection().execute(_CREATE, _key(claim))
                wanted = _key(claim) | _values(amount) | _ceilings(claim.ceiling)
                reserved = session.connection().execute(_RESERVE, wanted).rowcount
                held.append(_read(session, claim))
                if not reserved:
                    raise OverBudgetError(claim, held[-1])
            return held

        return await self._store.write(work)

    async def adjust(self, claims: Sequence[Claim], by: Amount) -> None:
        """Add a difference, which may be negative, to every counter."""

        def work(session: Session) -> None:
            for claim in claims:
                session.connection().execute(_ADJUST, _key(claim) | _values(by))

        await self._store.write(work)


def _read(session: Session, claim: Claim) -> Amount:
    row = session.connection().execute(_READ, _key(claim)).one()
    return Amount(int(row[0]), int(row[1]), int(row[2]))


def _key(claim: Claim) -> dict[str, str | int]:
    return {"scope": claim.scope, "window": claim.window, "started_at": claim.started_at}


def _values(amount: Amount) -> dict[str, str | int]:
    return {"micro_usd": amount.micro_usd or 0, "tokens": amount.tokens or 0, "calls": amount.calls or 0}


def _ceilings(ceiling: Amount) -> dict[str, str | int]:
    def most(value: int | None) -> int:
        return _NO_CEILING if value is None else value

    return {
        "most_micro_usd": most(ceiling.micro_usd),
        "most_tokens": most(ceiling.tokens),
        "most_calls": most(ceiling.calls),
    }
