"""The check named `schema`: arguments fit the tool's `inputSchema`, structured results its `outputSchema`.

It comes behind what redacts, so that what is held to the schema is what will be sent. A tool whose server gives no
schema, or was never listed, is not this check's business.
"""

from collections.abc import Mapping
from functools import partial

from anyio import to_thread

from governance import jsontree
from governance.catalog.bounded import TooMuchWorkError
from governance.catalog.catalog import Catalog, Known
from governance.catalog.misfit import Misfit
from governance.catalog.schemas import FIRST_STEPS, Compiled, Schemas, UnusableSchemaError
from governance.config.models import McpServer
from governance.exchange import Action, Exchange, Phase
from governance.jsontree import Json
from governance.stage import Thought
from governance.verdict import ALLOWED, Decision, Verdict

_UNCONFIGURED = McpServer()
_MOST = 1000
"""Characters of a reason."""
_MOST_TOLD = 800
"""Of them, characters about misfits of arguments: what to do about them comes after."""


class SchemaStage:
    """Holds tool calls and their results to the tool's own schemas."""

    name = "schema"

    def __init__(self, catalog: Catalog, servers: Mapping[str, McpServer]) -> None:
        """Take the catalog that knows the schemas, and the settings of each server by name."""
        self._catalog = catalog
        self._servers = servers
        self._schemas = Schemas()

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Refused with every misfit, so that a model can mend its call; or nothing to say."""
        if exchange.action is not Action.TOOL_CALL:
            return ALLOWED
        settings = self._servers.get(exchange.resource.server, _UNCONFIGURED)
        if settings.schemas == "off":
            return ALLOWED
        known = self._catalog.seen(exchange.resource.server, exchange.resource.name)
        if phase is Phase.REQUEST:
            fits = not known.odd and (not known.input_schema or self._fits(exchange, known, strict=settings.strict))
        else:
            fits = "structuredContent" not in _result(exchange)
        return ALLOWED if fits else self._judged(exchange, phase, known, settings)

    def _fits(self, exchange: Exchange, known: Known, *, strict: bool) -> bool:
        """Whether the arguments are quickly seen to fit. What takes longer is told in words by `_arguments`."""
        compiled = self._schemas.kept(known.definition, "inputSchema", strict=strict)
        if compiled is None:
            return False
        try:
            return not compiled.misfits(exchange.arguments, len(exchange.request.raw), FIRST_STEPS)
        except (UnusableSchemaError, TooMuchWorkError):
            return False

    async def _judged(self, exchange: Exchange, phase: Phase, known: Known, settings: McpServer) -> Verdict:
        if phase is Phase.REQUEST:
            verdict = await self._arguments(exchange, known, strict=settings.strict)
        else:
            verdict = await self._structured(exchange, known)
        if settings.schemas == "warn" and verdict is not ALLOWED:
            return Verdict(Decision.WARN, by=self.name, rule=verdict.rule, reason=verdict.reason)
        return verdict

    async def _arguments(self, exchange: Exchange, known: Known, *, strict: bool) -> Verdict:
        if "inputSchema" in known.odd:
            return self._unusable("inputSchema", "it is no object")
        if not known.input_schema:
            return ALLOWED
        try:
            compiled = await self._schemas.compiled(known.definition, "inputSchema", known.input_schema, strict=strict)
            found = await _held(compiled, exchange.arguments, len(exchange.request.raw))
        except UnusableSchemaError as error:
            return self._unusable("inputSchema", str(error))
        except TooMuchWorkError:
            return self._endless("inputSchema")
        if not found:
            return ALLOWED
        told = _told(found, "the arguments object")[:_MOST_TOLD]
        leave_out = "; leave an optional argument out instead of sending `null`" if any(m.null for m in found) else ""
        return self._deny(
            "schema.arguments",
            f"the arguments do not fit the tool's schema: {told}. Mend them and call again{leave_out}",
        )

    async def _structured(self, exchange: Exchange, known: Known) -> Verdict:
        result = _result(exchange)
        if "structuredContent" not in result or result.get("isError") is True:
            return ALLOWED  # an error's content need not fit (MCP 2025-11-25, "Output Schema")
        if "outputSchema" in known.odd:
            return self._unusable("outputSchema", "it is no object")
        if not known.output_schema or exchange.response is None:
            return ALLOWED
        try:
            compiled = await self._schemas.compiled(known.definition, "outputSchema", known.output_schema)
            found = await _held(compiled, result["structuredContent"], len(exchange.response.raw))
        except UnusableSchemaError as error:
            return self._unusable("outputSchema", str(error))
        except TooMuchWorkError:
            return self._endless("outputSchema")
        if not found:
            return ALLOWED
        told = _told(found, "the structured content")
        return self._deny(
            "schema.result", f"the tool ran, but its result is withheld: it does not fit its schema: {told}"
        )

    def _unusable(self, part: str, why: str) -> Verdict:
        reason = (
            f"the `{part}` of this tool cannot be used: {why}. Its server must mend it, or `schemas: warn` let it be"
        )
        return self._deny("schema.unusable", reason)

    def _endless(self, part: str) -> Verdict:
        return self._deny("schema.endless", f"holding this to the tool's `{part}` would take too long")

    def _deny(self, rule: str, reason: str) -> Verdict:
        return Verdict(Decision.DENY, by=self.name, rule=rule, reason=reason[:_MOST])


def _result(exchange: Exchange) -> Mapping[str, Json]:
    return jsontree.as_object(jsontree.at(exchange.response.value if exchange.response else None, "/result"))


async def _held(compiled: Compiled, value: Json, size: int) -> list[Misfit]:
    """The misfits of a value; what takes more than some milliseconds is told in a thread of its own.

    Raises:
        UnusableSchemaError, TooMuchWorkError: as `Compiled.misfits`.
    """
    try:
        return compiled.misfits(value, size, FIRST_STEPS)
    except TooMuchWorkError:
        return await to_thread.run_sync(partial(compiled.misfits, value, size))


def _told(found: list[Misfit], whole: str) -> str:
    return "; ".join(one.told(whole) for one in found)
