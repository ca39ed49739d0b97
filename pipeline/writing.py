"""What is written together with the event of an exchange: that its run goes on, and the labels that it adds to it.

One transaction, so that a label is never there without the event that says why, nor the event without the label.
"""

from dataclasses import replace

from governance.audit.event import AuditLog, Draft
from governance.store import Work, together
from sessions.labels.book import Entry, Labels


async def append(
    audit: AuditLog, draft: Draft, entry: Entry | None, labels: Labels, within: Work[None] | None = None
) -> None:
    """Make an event durable with the labels that it sets, and what else belongs to it.

    Raises:
        AuditError: nothing of it is durable.
    """
    if entry is None:
        await audit.append(draft, within)
        return
    await audit.append(replace(draft, fields={**draft.fields, "labels_set": entry.told}), together(within, entry.work))
    labels.wrote(entry)
