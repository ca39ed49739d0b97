"""Microsoft Teams, by the webhooks of its *Workflows* ("Post to a channel when a webhook request is received").

A message is an Adaptive Card in the attachments of a message:
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook

A `TextBlock` and a `FactSet` read Markdown, a `TextRun` does not: text that is not ours stands in runs only. What all
of them read is `{{DATE(...)}}`, so two braces never stand together.
"""

from dataclasses import replace
from datetime import datetime

from approvals.channels.channel import Channel
from approvals.channels.notice import Notice
from approvals.channels.posting import posted
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer
from governance import jsontree
from governance.jsontree import Json, JsonObject

LARGEST = 24_000
"""Bytes of a message; Teams takes 28 KB, and one that is larger would tell nobody anything."""


class Teams(Channel):
    """A webhook of a Teams workflow."""

    async def tell(self, told: Notice, message_id: str, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Post the card."""
        return await posted(self, message(told), seconds, resolver)


def message(told: Notice) -> JsonObject:
    """A notice as a card in a message; without the arguments where they would make it too large."""
    whole = _message(told)
    if len(jsontree.dump(whole)) <= LARGEST:
        return whole
    return _message(replace(told, arguments=(), more=told.more + len(told.arguments)))


def _message(told: Notice) -> JsonObject:
    content: JsonObject = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": _body(told),
        "actions": [{"type": "Action.OpenUrl", "title": "Open the page", "url": told.link}],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": content}]}


def plain(text: str) -> str:
    """Text that is not ours, for a run."""
    return text.replace("{{", "{ {").replace("{{", "{ {")


def _body(told: Notice) -> list[Json]:
    body: list[Json] = [{"type": "TextBlock", "text": told.title, "size": "Large", "weight": "Bolder", "wrap": True}]
    body += [_line(name, value) for name, value in told.facts]
    if told.arguments:
        body.append({"type": "TextBlock", "text": "Arguments", "weight": "Bolder", "separator": True})
        body += [_line(path, value, monospace=True) for path, value in told.arguments]
    if told.more:
        body.append({"type": "TextBlock", "text": f"and {told.more} more values", "isSubtle": True})
    body.append({"type": "TextBlock", "text": "Nothing is decided here.", "isSubtle": True, "separator": True})
    return body


def _line(name: str, value: str, *, monospace: bool = False) -> JsonObject:
    font: JsonObject = {"fontType": "Monospace"} if monospace else {}
    label: JsonObject = {"type": "TextRun", "text": f"{plain(name)}: ", "weight": "Bolder", **font}
    run: JsonObject = {"type": "TextRun", "text": plain(value), **font}
    return {"type": "RichTextBlock", "inlines": [label, run], "spacing": "Small"}
