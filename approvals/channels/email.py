"""Mailboxes, by SMTP. A message has a plain text and the same as HTML; it is no reply, and wants none.

What a notice says is one line each (`notice.py`), so no header can be begun by anybody's text; the standard library
refuses such a header besides.
"""

import html
import importlib
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from approvals.channels.channel import Channel
from approvals.channels.notice import Notice
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer

LONGEST_SUBJECT = 150
FOOTER = "Nothing is decided by this message, or by an answer to it: the page asks you who you are."


class Email(Channel):
    """Some mailboxes, written to together."""

    async def tell(self, told: Notice, message_id: str, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Hand the message to the server."""
        # Not at the top of the file: who writes no mail needs no client for it.
        handed_over = importlib.import_module("approvals.channels.smtp").handed_over
        settings = self.settings
        written = message(told, message_id, now, settings.sender, settings.recipients)
        answer: Answer = await handed_over(settings, written, seconds, resolver)
        return answer


def message(told: Notice, message_id: str, now: datetime, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """A notice as a message. Everything about one ticket stands in one thread."""
    written, domain = EmailMessage(policy=SMTP), sender.rpartition("@")[2]
    written["Subject"] = _subject(told)
    written["From"] = sender
    written["To"] = ", ".join(recipients)
    written["Date"] = format_datetime(now)
    written["Message-ID"] = f"<{message_id}@{domain}>"
    if told.ticket:
        written["References"] = f"<{told.ticket}@{domain}>"
    written["Auto-Submitted"] = "auto-generated"  # RFC 3834: no machine answers it
    written.set_content("\n".join(_rows(told)) + "\n")
    written.add_alternative(_page(told), subtype="html")
    return written


def _subject(told: Notice) -> str:
    facts = dict(told.facts)
    where = [facts[name] for name in ("Tool", "Model", "Server", "Agent") if name in facts]
    whole = f"[Wicket] {told.title}" + (f": {', '.join(where)}" if where else "")
    return whole if len(whole) <= LONGEST_SUBJECT else whole[:LONGEST_SUBJECT] + "…"


def _rows(told: Notice) -> list[str]:
    rows = [told.title, "", *(f"{name}: {value}" for name, value in told.facts)]
    if told.arguments:
        rows += ["", "Arguments:", *(f"  {path}: {value}" for path, value in told.arguments)]
    if told.more:
        rows.append(f"  and {told.more} more values")
    return [*rows, "", f"Open the page: {told.link}", "", FOOTER]


def _page(told: Notice) -> str:
    rows = "".join(
        f"<tr><th align='left' valign='top'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in told.facts
    )
    shown = "\n".join(html.escape(f"{path}: {value}") for path, value in told.arguments)
    more = f"\nand {told.more} more values" if told.more else ""
    arguments = f"<p>Arguments:</p><pre>{shown}{more}</pre>" if shown else ""
    return (
        f"<!doctype html><html><body><h2>{html.escape(told.title)}</h2><table>{rows}</table>{arguments}"
        f"<p><a href='{html.escape(told.link)}'>Open the page</a></p><p>{FOOTER}</p></body></html>"
    )
