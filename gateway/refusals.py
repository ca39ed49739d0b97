"""Writing down requests that were turned away before there was an exchange to judge.

A refusal that cannot be written is still a refusal; it only leaves a line in the process log.
"""

import logging
import re
from dataclasses import dataclass

from gateway.errors import Failure
from governance.audit.event import AuditError, AuditLog, Draft, Tag, Value
from governance.exchange import Principal
from governance.identity.directory import UnknownKeyError
from pipeline.border import BadRequestError

log = logging.getLogger(__name__)

_MODEL = re.compile(r"[\w.:/@\-]{1,128}", re.ASCII)


@dataclass(frozen=True)
class Refusals:
    """Where they are written."""

    audit: AuditLog
    strangers: AuditLog
    """For those that anybody can cause, without a key."""

    async def border(self, path: str, problem: BadRequestError) -> None:
        """A request that the border turned away; `path` is the client's own, so it is not kept."""
        await self._write(self.strangers, Tag.REQUEST_MALFORMED, {"plane": "llm", "code": problem.code})

    async def endpoint(
        self, path: str, failure: Failure, code: str, principal: Principal | None, model: str = ""
    ) -> None:
        """A request that one of our paths turned away."""
        fields: dict[str, Value] = {"plane": "llm", "path": path, "code": code}
        if principal is not None:
            fields |= {"key_id": principal.key_id, "tenant_id": principal.tenant}
        if _MODEL.fullmatch(model):
            fields["model"] = model
        unknown = isinstance(failure, UnknownKeyError)
        audit = self.strangers if principal is None else self.audit
        await self._write(audit, Tag.REQUEST_UNAUTHENTICATED if unknown else Tag.REQUEST_MALFORMED, fields)

    async def _write(self, audit: AuditLog, tag: Tag, fields: dict[str, Value]) -> None:
        try:
            await audit.append(Draft(tag, fields))
        except AuditError as error:
            log.error("a refused request is not in the audit log: %s", error)  # noqa: TRY400 - no trace in the log
