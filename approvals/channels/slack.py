"""Slack, and what is compatible with its incoming webhooks.

Text that is not ours stands in `plain_text` objects and in code, where nothing is a mention or a link, and with `&`,
`<` and `>` as entities, so that `<!channel>` calls nobody anywhere. Receivers that only read `text` (Mattermost,
Rocket.Chat) find the same in it.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
https://docs.slack.dev/messaging/formatting-message-text ("Escaping text")
"""

import re
from collections.abc import Iterator
from datetime import datetime

from approvals.channels.channel import Channel
from approvals.channels.notice import Notice
from approvals.channels.posting import posted
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer
from governance.jsontree import Json, JsonObject

LONGEST_TEXT = 2_900
"""Characters of one section; Slack takes 3,000."""
LONGEST_FIELD = 1_900
"""The same of one of several texts; Slack takes 2,000."""
MOST_FIELDS = 10
"""Texts beside one another in one section."""
_CUT_ENTITY = re.compile("&[a-z]*$")


class Slack(Channel):
    """An incoming webhook of Slack."""

    async def tell(self, told: Notice, message_id: str, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Post the message."""
        return await posted(self, message(told), seconds, resolver)


def message(told: Notice) -> JsonObject:
    """A notice in blocks, with the same as one text for notifications."""
    return {"text": _text(told), "blocks": list(_blocks(told)), "unfurl_links": False, "unfurl_media": False}


def escaped(text: str) -> str:
    """Text that is not ours, for any text object."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """Text that is not ours within a line of ours: code, where nothing is a mention."""
    return "`" + escaped(text.replace("`", "'")) + "`"


def _text(told: Notice) -> str:
    facts = "\n".join(f"{name}: {code(value)}" for name, value in told.facts)
    return f"{told.title}\n{facts}\n{_link(told)}"


def _blocks(told: Notice) -> Iterator[Json]:
    yield {"type": "header", "text": {"type": "plain_text", "text": told.title, "emoji": False}}
    fields: list[Json] = []
    for name, value in told.facts:
        fields.append({"type": "mrkdwn", "text": f"*{name}*"})
        fields.append({"type": "plain_text", "text": _cut(escaped(value), LONGEST_FIELD), "emoji": False})
    for start in range(0, len(fields), MOST_FIELDS):
        yield {"type": "section", "fields": fields[start : start + MOST_FIELDS]}
    shown = [f"{path}: {value}" for path, value in told.arguments]
    for part in _parts([escaped(line.replace("`", "'")) for line in shown]):
        yield {"type": "section", "text": {"type": "mrkdwn", "text": f"```{part}```"}}
    if told.more:
        yield {"type": "context", "elements": [{"type": "mrkdwn", "text": f"and {told.more} more values"}]}
    yield {"type": "section", "text": {"type": "mrkdwn", "text": _link(told)}}


def _link(told: Notice) -> str:
    address = escaped(told.link.replace("|", "%7C"))
    return f"<{address}|Open the page>: nothing is decided here"


def _parts(rows: list[str]) -> Iterator[str]:
    """Rows together, as many as one section takes."""
    part = ""
    for row in rows:
        if part and len(part) + len(row) + 1 > LONGEST_TEXT:
            yield part
            part = ""
        part = f"{part}\n{_cut(row, LONGEST_TEXT)}" if part else _cut(row, LONGEST_TEXT)
    if part:
        yield part


def _cut(text: str, longest: int) -> str:
    """Not through an entity."""
    return text if len(text) <= longest else _CUT_ENTITY.sub("", text[:longest]) + "…"
