"""Where it is written down that somebody was turned away before anything was judged."""

import logging

from governance.audit.event import AuditError, Draft, Tag
from pipeline.border import BadRequestError, Record
from pipeline.runtime import Runtime

log = logging.getLogger(__name__)


def record_refused(runtime: Runtime, plane: str) -> Record:
    """Writes into the audit log that a request was turned away unread; its path is the client's own and not kept."""

    async def record(_path: str, problem: BadRequestError) -> None:
        is_stranger = problem.status == 401 or problem.code == "insufficient_scope"
        tag = Tag.REQUEST_UNAUTHENTICATED if is_stranger else Tag.REQUEST_MALFORMED
        try:
            await runtime.strangers.append(Draft(tag, {"plane": plane, "code": problem.code}))
        except AuditError as error:
            log.error("a refused request is not in the audit log: %s", error)  # noqa: TRY400 - a trace says nothing here

    return record
