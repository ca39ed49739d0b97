"""The first page: what waits, what went through, what it cost, and how the upstreams are.

All of it comes from counts that the index keeps; however long the log is, nothing walks over it.
"""

from collections import Counter
from decimal import Decimal

from starlette.responses import Response

from console import figures, plots
from console.figures import Column, Period
from console.frame import Frame, Visit
from sessions.index.counts.store import Counted
from sessions.index.reading import Count, Kind

TOP = 8
"""Tools and findings that are listed."""


async def index(frame: Frame, visit: Visit) -> Response:
    """The overview."""
    now, tenant = frame.core.clock.now(), visit.visitor.tenant
    asked = visit.request.query_params.get("period", "")
    period = Period(asked) if asked in list(Period) else Period.HOUR
    behind = await frame.follower.catch_up()
    since = period.since(now).isoformat()

    async def by_time(kind: Count) -> list[Counted]:
        return await frame.counts.by_time(kind, period.span, since, tenant)

    async def by_name(kind: Count) -> list[Counted]:
        return await frame.counts.by_name(kind, period.span, since, tenant)

    calls = figures.columns(await by_time(Count.VERDICT), period, now)
    models = await by_time(Count.MODEL)
    cents = [_cents(one) for one in figures.columns([_plain(one) for one in models], period, now, "micro_usd")]
    tokens = figures.columns([_plain(one) for one in models], period, now, "tokens")
    active = figures.columns(await by_time(Count.SESSION), period, now)
    spending = figures.spend(await by_name(Count.MODEL))
    tools, findings = (await by_name(Count.TOOL))[:TOP], (await by_name(Count.FINDING))[:TOP]
    return await frame.draw(
        visit,
        "overview.html",
        period=period,
        periods=list(Period),
        behind=behind,
        decisions=figures.DECISIONS,
        columns=calls,
        drawing=plots.stacks(calls, figures.DECISIONS, period.form),
        cents=cents,
        drawn_cents=plots.stacks(cents, (), period.form, unit="US cents", width=520, height=140),
        tokens=tokens,
        drawn_tokens=plots.stacks(tokens, (), period.form, unit="tokens", width=520, height=140),
        active=active,
        drawn_active=plots.stacks(active, (), period.form, unit="sessions", width=520, height=140),
        now_active=active[-1].total,
        calls=sum(one.total for one in calls),
        refused=sum(one.counts[name] for one in calls for name in ("deny", "kill")),
        bars=plots.bars(spending),
        total=sum((one.usd for one in spending), Decimal(0)),
        unpriced=sum(one.unpriced for one in spending),
        tools=list(zip(tools, plots.lengths([one.count for one in tools]), strict=True)),
        findings=list(zip(findings, plots.lengths([one.count for one in findings]), strict=True)),
        outcomes=figures.outcomes(await by_name(Count.APPROVAL), await by_name(Count.WAIT)),
        upstreams=await _upstreams(frame, await by_name(Count.UPSTREAM), await by_name(Count.TOOK)),
    )


async def _upstreams(frame: Frame, ended: list[Counted], took: list[Counted]) -> list[figures.Health]:
    config = frame.core.config
    servers = await frame.counts.last_seen(Kind.SERVER, config.mcp_servers)
    providers = await frame.counts.last_seen(Kind.PROVIDER, config.providers)
    last = {f"mcp:{name}": at for name, at in servers.items()} | {f"llm:{name}": at for name, at in providers.items()}
    names = [("mcp", name) for name in config.mcp_servers] + [("llm", name) for name in config.providers]
    return figures.health(ended, took, last, names)


def _cents(one: Column) -> Column:
    """Millionths of a dollar as cents."""
    return Column(one.at, Counter({name: round(count / 10_000) for name, count in one.counts.items()}))


def _plain(one: Counted) -> Counted:
    """The same of no model in particular."""
    return Counted(one.at, "", one.count, one.tokens, one.micro_usd)
