"""`/metrics`: what a serving process counts, in the text format of Prometheus. Both processes have it.

Nothing is measured here: the counts are integers of `pipeline/tally.py`, the health is that of the servers; both are
read when somebody asks. The page is for administrators and for who holds its own token, and for this machine where the
configuration says so. A label names servers of the configuration, never content, keys or people.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import cast

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from governance.health.report import FAILING, STOPPED, UNKNOWN, WELL, Report
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from governance.identity.keys import KeyRole
from pipeline.border import (
    AsgiApp,
    AsgiScope,
    BadRequestError,
    Border,
    Headers,
    Receive,
    Record,
    Render,
    Send,
    answer,
    local_peer,
)
from pipeline.runtime import Runtime
from pipeline.tally import BOUNDS, Tally

PATH = "/metrics"
STATES = (WELL, FAILING, STOPPED, UNKNOWN)
Look = Callable[[], Sequence[Report]]


def with_metrics(app: AsgiApp, runtime: Runtime, render: Render, record: Record, look: Look = lambda: ()) -> AsgiApp:
    """The front of a process, with the page beside it.

    Args:
        app: the front.
        runtime: what is counted, and who may read it.
        render: an error in the words of this front.
        record: writes down who was turned away.
        look: tells how the servers of this process are.
    """
    config = runtime.config
    page = Border(
        _Page(runtime, render, record, look), hosts=config.hosts, limits=config.limits, render=render, record=record,
        trusted=config.identity.header_user,
    )  # fmt: skip

    async def route(scope: AsgiScope, receive: Receive, send: Send) -> None:
        inner = page if scope["type"] == "http" and scope["path"] == PATH else app
        await inner(scope, receive, send)

    return route


class _Page:
    """The page itself, behind its border."""

    def __init__(self, runtime: Runtime, render: Render, record: Record, look: Look) -> None:
        self._runtime = runtime
        self._render = render
        self._record = record
        self._registry = CollectorRegistry()
        self._registry.register(Counts(runtime.tally, lambda: runtime.audit.failures, look))
        ProcessCollector(registry=self._registry)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        problem = self._refusal(scope)
        if problem is not None:
            await self._record(PATH, problem)
            await answer(scope, send, problem, self._render)
            return
        body = generate_latest(self._registry)
        headers: Headers = [
            (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _refusal(self, scope: AsgiScope) -> BadRequestError | None:
        """Why whoever asks is told nothing. What was sent as a credential is tried as one, from wherever it comes."""
        if scope["method"] not in ("GET", "HEAD"):
            return BadRequestError(405, "method", "only GET is answered here")
        headers = cast("Headers", scope["headers"])
        settings = self._runtime.config.metrics
        sent = [value.decode("latin-1") for name, value in headers if name in (b"authorization", b"x-api-key")]
        if not sent:
            return None if settings.local and local_peer(scope) else _STRANGER
        if len(sent) > 1:
            return _STRANGER
        kind, _, token = sent[0].partition(" ")
        token = token.strip() if kind.lower() == "bearer" else sent[0]
        if settings.token and hmac.compare_digest(token.encode(), settings.token.encode()):
            return None
        try:
            key = self._runtime.identity.person(token)
        except UnknownKeyError:
            return _STRANGER
        except IdentityStaleError as error:
            return BadRequestError(503, "identity", str(error))
        return None if key.grant.role is KeyRole.ADMIN else _STRANGER


_STRANGER = BadRequestError(401, "unauthenticated", "send `metrics.token` or the token of an administrator as a bearer")


class Counts(Collector):
    """Makes metrics of what was counted, at each scrape anew."""

    def __init__(self, tally: Tally, audit_failures: Callable[[], int], look: Look) -> None:
        self._tally = tally
        self._audit_failures = audit_failures
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """All metrics as they stand."""
        tally = self._tally
        exchanges = "Exchanges by what was decided about their request."
        yield _counter("wicket_exchanges", exchanges, ("action", "decision"), tally.judged.items())
        endings = "Exchanges that were forwarded, by how they ended."
        yield _counter("wicket_exchange_endings", endings, ("action", "status"), tally.ended.items())
        holds = "Calls that waited for a person, by what came of it."
        yield _counter("wicket_holds", holds, ("outcome",), [((state,), count) for state, count in tally.held.items()])
        yield GaugeMetricFamily("wicket_holds_waiting", "Calls that wait for a person now.", tally.waiting)
        tokens = [(("input",), tally.input_tokens), (("output",), tally.output_tokens)]
        yield _counter("wicket_tokens", "Tokens of model calls.", ("direction",), tokens)
        failures = "Audit events that could not be made durable."
        yield CounterMetricFamily("wicket_audit_failures", failures, self._audit_failures())
        yield self._added()
        yield from _servers(self._look())

    def _added(self) -> Metric:
        timings = self._tally.added
        names = [*(f"{bound:g}" for bound in BOUNDS), "+Inf"]
        buckets = list(zip(names, map(float, accumulate(timings.counts)), strict=True))
        what = "Time that Wicket itself took with an exchange, without whoever it waited for."
        return HistogramMetricFamily("wicket_added_seconds", what, buckets, timings.microseconds / 1e6)


def _servers(reports: Sequence[Report]) -> Iterator[Metric]:
    if not reports:
        return
    state = GaugeMetricFamily("wicket_server_state", "1 for the state an MCP server is in.", labels=("server", "state"))
    failures = GaugeMetricFamily("wicket_server_failures", "Failures in a row up to now.", labels=("server",))
    tools = GaugeMetricFamily("wicket_server_tools", "Tools in the last listing of a server.", labels=("server",))
    starts = CounterMetricFamily("wicket_server_starts", "Starts and connections.", labels=("server",))
    restarts = CounterMetricFamily("wicket_server_restarts", "Starts after a failure.", labels=("server",))
    for one in reports:
        for name in STATES:
            state.add_metric((one.server, name), float(name == one.state))
        failures.add_metric((one.server,), one.failures)
        tools.add_metric((one.server,), one.tools)
        starts.add_metric((one.server,), one.starts)
        restarts.add_metric((one.server,), one.restarts)
    yield from (state, failures, tools, starts, restarts)


def _counter(name: str, what: str, labels: Sequence[str], counts: Iterable[tuple[Sequence[str], int]]) -> Metric:
    family = CounterMetricFamily(name, what, labels=labels)
    for values, count in counts:
        family.add_metric([str(value) for value in values], count)
    return family
