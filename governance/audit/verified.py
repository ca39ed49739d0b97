"""How it is written down that the log was verified. Pure."""

from governance.audit.event import Draft, Tag
from governance.audit.verify import Report


def draft_of(report: Report, *, actor: str, milliseconds: int) -> Draft:
    """The event of a verification of the whole log.

    Args:
        report: what was found out.
        actor: who asked for it.
        milliseconds: how long it took.
    """
    fault = {"fault": report.fault.value, "fault_seq": report.seq, "reason": report.why} if report.fault else {}
    return Draft(
        Tag.AUDIT_VERIFIED,
        {
            "actor": actor,
            "checked": report.checked,
            "head": f"{report.head.seq}:{report.head.hash}" if report.head else None,
            "sealed": report.sealed,
            "sound": report.fault is None,
            "duration_ms": milliseconds,
            **fault,
        },
    )
