"""Posting a message to the address of a chat. What it looks like is the business of each chat."""

import importlib

from approvals.channels.channel import Channel
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer
from governance import jsontree
from governance.jsontree import JsonObject

_HEADERS = {"content-type": "application/json", "user-agent": "wicket-channels"}


async def posted(channel: Channel, message: JsonObject, seconds: float, resolver: Resolve) -> Answer:
    """The answer of the chat, which is held to the same rules for addresses as webhooks are."""
    # Not at the top of the file: who has no chat needs no HTTP client.
    post = importlib.import_module("approvals.webhook.transport").post
    settings = channel.settings
    answer: Answer = await post(
        settings.url, jsontree.dump(message), _HEADERS, settings.allow_private, seconds, resolver
    )
    return answer
