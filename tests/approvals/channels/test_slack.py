"""Messages for Slack: shown whole, and nothing in them calls, links or formats what we did not."""

import json
import re

from approvals.channels.notice import sample
from approvals.channels.slack import message
from tests.approvals.channels.hostile import EVIL, hostile_notice, texts_of

MADE = message(hostile_notice())
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def test_nothing_of_others_is_a_mention_or_a_link() -> None:
    for text in texts_of(MADE):
        assert re.findall(r"<(?!https://wicket\.test/console/)[^>]*>", text) == []
        assert not re.search(r"&(?!amp;|lt;|gt;)", text)


def test_text_of_others_stands_in_plain_text_or_in_code_where_formatting_does_nothing() -> None:
    formatted = [one["text"] for one in objects(MADE) if one.get("type") == "mrkdwn"] + [str(MADE["text"])]
    for text in formatted:
        outside = CODE.sub("", text)
        assert EVIL not in outside
        assert "@" not in outside
        assert "**" not in outside
    plain = [one for one in objects(MADE) if one.get("type") == "plain_text"]
    assert all(one["emoji"] is False for one in plain)


def test_the_message_keeps_to_the_limits_of_slack() -> None:
    blocks = MADE["blocks"]
    assert isinstance(blocks, list)
    assert len(blocks) <= 50
    for block in blocks:
        assert isinstance(block, dict)
        fields = block.get("fields", [])
        assert isinstance(fields, list)
        assert len(fields) <= 10
        assert all(len(one["text"]) <= 2_000 for one in objects(fields) if "text" in one)
        assert all(len(text) <= 3_000 for text in texts_of(block))


def test_there_is_one_link_and_it_leads_to_the_page_of_the_ticket() -> None:
    assert "<https://wicket.test/console/approvals/tkt_1|Open the page>" in str(MADE["text"])
    assert json.dumps(MADE["blocks"]).count("|Open the page>") == 1
    assert "<https://w.test/console/approvals|Open the page>" in str(message(sample("https://w.test"))["text"])


def objects(value: object) -> list[dict[str, str]]:
    """Every object that has a type, wherever it stands."""
    if isinstance(value, dict):
        mine = [value] if isinstance(value.get("type"), str) else []  # type: ignore[reportUnknownMemberType]
        return [*mine, *(one for child in value.values() for one in objects(child))]  # type: ignore[reportUnknownVariableType]
    return [one for child in value for one in objects(child)] if isinstance(value, list) else []  # type: ignore[reportUnknownVariableType]
