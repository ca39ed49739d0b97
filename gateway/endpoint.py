"""One operation of one wire: a client's request in, the provider's answer out, the guard in between.

Here a request becomes an `Exchange`. What may happen to it is decided by the guard, what it looks like is known by
the dialect, where it goes by the routes, and how it gets there by the carriage.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from gateway import credentials
from gateway.carriage import Carriage
from gateway.dialects.dialect import Asked, Dialect, Operation, Problem
from gateway.errors import FAILURES, Failure, headers_of, problem_of
from gateway.metering import Meter, Prices
from gateway.passing import Guarding, Recognising, Roll
from gateway.presence import Presence
from gateway.refusals import Refusals
from gateway.reply import Reply
from gateway.routing import Routes, Target
from gateway.upstream import Upstream
from gateway.vocabulary import Vocabulary
from governance.clock import Clock
from governance.config.models import Config
from governance.exchange import Action, Exchange, Principal, Resource, new_id
from governance.jsontree import Json, as_object
from governance.stage import RefusedError
from pipeline.border import AsgiScope, BadRequestError, Receive, local_peer, read_body
from pipeline.reading import read_apart
from sessions.correlate import Signs, correlate, trace_id

_CLIENT = re.compile(r"[A-Za-z0-9_.\-]{1,40}(?:/[A-Za-z0-9_.\-]{1,40})?")
_ALWAYS_PASSED = frozenset(("accept", "user-agent"))
_CLIENT_LEFT = 499


@dataclass(frozen=True)
class Organs:
    """What every endpoint works with."""

    config: Config
    guard: Guarding
    identity: Recognising
    clock: Clock
    routes: Routes
    upstream: Upstream
    presence: Presence
    prices: Prices
    refusals: Refusals
    roll: Roll


@dataclass
class Visit:
    """One request, and what is known of it so far."""

    scope: AsgiScope
    receive: Receive
    reply: Reply
    id: str
    """Id of the exchange, and of the request in what the client is told."""
    headers: dict[str, str]
    """Names in lower case."""
    principal: Principal | None = None
    model: str = ""


class Endpoint:
    """Serves one path."""

    def __init__(self, organs: Organs, dialect: Dialect, path: str, operation: Operation) -> None:
        self._organs = organs
        self.dialect = dialect
        self._path = path
        self._operation = operation
        self._vocabulary = Vocabulary(dialect.vocabulary) if dialect.vocabulary else None

    async def __call__(self, scope: AsgiScope, receive: Receive, reply: Reply) -> None:
        """Serve one request; whatever may go wrong is said in the wire's own shape."""
        visit = Visit(scope, receive, reply, new_id(self._organs.clock.now()), lowered(scope))
        try:
            await self._serve(visit)
        except FAILURES as failure:
            await self._fail(visit, failure)

    async def _serve(self, visit: Visit) -> None:
        organs = self._organs
        visit.principal = await recognise(organs, visit.scope, visit.headers)
        query = credentials.passed(cast("bytes", visit.scope["query_string"]), self.dialect.passed_query)
        raw = await read_body(visit.scope, visit.receive, limit=organs.config.limits.body_bytes)
        asked = await read_apart(self.dialect.parse, raw)
        visit.model = asked.model
        target = organs.routes.choose(self.dialect.wire, asked.model)
        exchange = await self._exchange(visit, visit.principal, asked, target)
        carriage = Carriage(
            upstream=organs.upstream,
            dialect=self.dialect,
            operation=self._operation,
            target=target,
            asked=asked,
            headers=self._passed(visit.headers),
            query=query,
            reply=visit.reply,
            meter=Meter(organs.prices, self._vocabulary, metered=self._operation.metered),
        )
        with organs.presence.watch(visit.receive):
            async with organs.guard.passage(exchange) as passage:
                await carriage.run(passage)

    async def _exchange(self, visit: Visit, principal: Principal, asked: Asked, target: Target) -> Exchange:
        signs = Signs(headers=visit.headers, body=as_object(asked.body.value))
        facts: dict[str, Json] = {"plane": "llm", "transport": "http", "stream": asked.stream, "path": self._path}
        if self._operation.metered:
            session = await self._organs.roll.place_model_call(signs, principal, visit.id)
        else:
            session, facts["metered"] = correlate(signs, principal), False
        if trace := trace_id(signs):
            facts["trace_id"] = trace
        if client := _CLIENT.match(visit.headers.get("user-agent", "")):
            facts["client"] = client[0]
        return Exchange(
            id=visit.id,
            at=self._organs.clock.now(),
            action=Action.LLM_GENERATE,
            principal=principal,
            resource=Resource(provider=target.name, model=asked.model),
            session=session,
            request=asked.body,
            facts=facts,
        )

    def _passed(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that the provider may see: those its wire defines, and which program is asking."""
        names, prefixes = self.dialect.passed_headers, self.dialect.passed_prefixes
        return {
            name: value
            for name, value in headers.items()
            if name in names or name in _ALWAYS_PASSED or name.startswith(prefixes)
        }

    async def _fail(self, visit: Visit, failure: Failure) -> None:
        problem = problem_of(failure)
        if not isinstance(failure, RefusedError) and not visit.reply.has_begun and problem.status < 500:
            await self._organs.refusals.endpoint(self._path, failure, problem.code, visit.principal, visit.model)
        if isinstance(failure, BadRequestError) and failure.status == _CLIENT_LEFT:
            return
        await tell(visit.reply, self.dialect, problem, visit.id)


async def tell(reply: Reply, dialect: Dialect, problem: Problem, request_id: str) -> None:
    """Answer with a problem, or end the stream with it."""
    if reply.is_over:
        return
    if reply.has_begun:
        await reply.end(dialect.error_event(problem, request_id))
    else:
        await reply.whole(problem.status, headers_of(problem, request_id), dialect.error(problem, request_id))


async def recognise(organs: Organs, scope: AsgiScope, headers: Mapping[str, str]) -> Principal:
    """Who is asking.

    Raises:
        UnknownKeyError, IdentityStaleError: nobody we know, or nobody can be known.
    """
    token = credentials.token(headers, cast("bytes", scope["query_string"]))
    peer = local_peer(scope) if token is None else ""  # only asked for where there is no key
    user_header = organs.config.identity.header_user
    user = headers.get(user_header.lower(), "") if user_header else ""
    return await organs.identity.recognise(token, peer=peer, user=user)


def lowered(scope: AsgiScope) -> dict[str, str]:
    """The headers of a request, names in lower case as every ASGI server sends them; the last of several wins."""
    headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
