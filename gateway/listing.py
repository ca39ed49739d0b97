"""`GET /v1/models`: what may be asked for here, in the shape of whoever asks.

Names that the configuration spells out are listed as they are; for globs the provider is asked, and its answer is
kept for a while. A provider that does not answer is left out: a list is no promise.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

import anyio

from gateway.errors import UnknownModelError, UpstreamError
from gateway.routing import Routes, Target
from gateway.upstream import Upstream
from governance import jsontree
from governance.clock import Clock
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject, MalformedError, as_list, as_object, as_text
from governance.policy.glob import Globs, is_wild

log = logging.getLogger(__name__)

KEPT_SECONDS = 300.0
PATIENCE_SECONDS = 5.0
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Model:
    """One model that may be asked for."""

    id: str
    provider: str
    described: JsonObject
    """What its provider says of it."""


@dataclass
class _Kept:
    models: tuple[Model, ...] = ()
    until: float = -1.0
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Listing:
    """The models of every provider.

    Args:
        routes: the providers.
        upstream: asks those whose models are globs.
        clock: says how old an answer is.
    """

    def __init__(self, routes: Routes, upstream: Upstream, clock: Clock) -> None:
        self._routes = routes
        self._upstream = upstream
        self._clock = clock
        self._kept = {target.name: _Kept() for target in routes.targets}

    async def models(self, principal: Principal) -> list[Model]:
        """What this principal may ask for, first provider first, each name once."""
        allowed = Globs(principal.models)
        found: dict[str, Model] = {}
        for target in self._routes.targets:
            for model in await self._of(target):
                if allowed.match(model.id):
                    found.setdefault(model.id, model)
        return list(found.values())

    async def model(self, principal: Principal, name: str) -> Model:
        """One of them.

        Raises:
            UnknownModelError: this principal may not ask for it, or nobody serves it.
        """
        for model in await self.models(principal):
            if model.id == unquote(name):
                return model
        raise UnknownModelError("no provider here serves this model: ask `GET /v1/models` for those that are")

    async def _of(self, target: Target) -> tuple[Model, ...]:
        if not any(is_wild(name) for name in target.names):
            return tuple(Model(name, target.name, {}) for name in target.names)
        kept = self._kept[target.name]
        async with kept.lock:
            if kept.until <= self._clock.monotonic():
                kept.models = await self._ask(target)
                kept.until = self._clock.monotonic() + KEPT_SECONDS
            return kept.models

    async def _ask(self, target: Target) -> tuple[Model, ...]:
        try:
            with anyio.fail_after(PATIENCE_SECONDS):
                answer = jsontree.parse(await self._upstream.get(target, "/models"))
        except (UpstreamError, MalformedError, TimeoutError) as error:
            log.warning("provider `%s` does not list its models: %s", target.name, error)
            return tuple(Model(name, target.name, {}) for name in target.names if not is_wild(name))
        entries = [as_object(entry) for entry in as_list(as_object(answer).get("data"))]
        return tuple(
            Model(name, target.name, entry)
            for entry in entries
            if (name := as_text(entry.get("id"))) and target.models.match(name)
        )


def openai_list(models: Iterable[Model]) -> Json:
    """The list as OpenAI's clients read it."""
    return {"object": "list", "data": [openai_model(model) for model in models]}


def openai_model(model: Model) -> Json:
    """One model as OpenAI's clients read it."""
    said = model.described
    created = said.get("created")
    owner = as_text(said.get("owned_by"), model.provider)
    known: JsonObject = {"id": model.id, "object": "model", "created": created if isinstance(created, int) else 0}
    return {**known, "owned_by": owner}


def anthropic_list(models: Iterable[Model]) -> Json:
    """The list as Anthropic's clients read it: one page."""
    data = [anthropic_model(model) for model in models]
    first, last = (data[0], data[-1]) if data else (None, None)
    ends: JsonObject = {"first_id": as_object(first).get("id"), "last_id": as_object(last).get("id")}
    return {"data": data, "has_more": False, **ends}


def anthropic_model(model: Model) -> Json:
    """One model as Anthropic's clients read it."""
    said = model.described
    shown = as_text(said.get("display_name"), model.id)
    created = as_text(said.get("created_at"), _EPOCH)
    if said.get("type") == "model":
        return {**said, "id": model.id, "display_name": shown, "created_at": created}
    return {"type": "model", "id": model.id, "display_name": shown, "created_at": created}
