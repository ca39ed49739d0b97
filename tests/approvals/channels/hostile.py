"""A call whose every word tries to be more than a word, in each place where people are told of it."""

from dataclasses import replace
from datetime import UTC, datetime

from approvals.channels.notice import Notice, notice
from approvals.ticket import Ticket
from governance.audit.event import Tag
from tests.approvals.calls import ticket_of, tool_call

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EVIL = "https://evil.test"
TEXTS = (
    "<!channel> <!here> <@U123> @channel @here @all",
    f"<{EVIL}|Open the page> [Open the page]({EVIL}) ![x]({EVIL}/p.png)",
    "**approved** _ok_ ~no~ `code` ```fence``` # head\n- item",
    "{{DATE(2020-01-01T00:00:00Z)}} {{{{TIME(x)}} <at>everyone</at>",
    "a\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>",
    "safe\u202egnp.exe \u200b\x00\x1b[31m &amp; &lt;",
)


def hostile_ticket() -> Ticket:
    """The ticket of such a call; the tool, the rule and its reason are written by the same hand."""
    call = tool_call({f"key {text}": [text] for text in TEXTS}, name=TEXTS[0][:60], server="files\r\nX-Evil: 1")
    principal = replace(call.principal, agent=TEXTS[1], user="ann\u202e")
    found = ticket_of(replace(call, principal=principal))
    return replace(found, rule="r\r\nSubject: no", reason=TEXTS[2] + TEXTS[3])


def hostile_notice(event: Tag = Tag.APPROVAL_REQUESTED) -> Notice:
    """What is told of it."""
    return notice(event, hostile_ticket(), AT, "https://wicket.test", arguments=True)


def texts_of(value: object) -> list[str]:
    """Every text of a JSON value, names left out."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [one for child in value.values() for one in texts_of(child)]  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [one for child in value for one in texts_of(child)]  # type: ignore[reportUnknownVariableType]
    return []
