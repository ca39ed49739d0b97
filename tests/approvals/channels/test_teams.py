"""Cards for Teams: what others wrote stands where no Markdown is read, and the whole is never too large."""

from dataclasses import replace

from approvals.channels.teams import LARGEST, message, plain
from governance import jsontree
from governance.jsontree import JsonObject
from tests.approvals.channels.hostile import EVIL, hostile_notice, texts_of

MADE = message(hostile_notice())


def card(made: JsonObject) -> JsonObject:
    (attached,) = jsontree.as_list(made["attachments"])
    attachment = jsontree.as_object(attached)
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    return jsontree.as_object(attachment["content"])


def test_a_workflow_finds_one_adaptive_card_in_a_message() -> None:
    assert MADE["type"] == "message"
    made = card(MADE)
    assert (made["type"], made["version"]) == ("AdaptiveCard", "1.4")


def test_what_others_wrote_stands_in_runs_only() -> None:
    for one in jsontree.as_list(card(MADE)["body"]):
        block = jsontree.as_object(one)
        if block["type"] == "TextBlock":
            assert not any(mark in str(block["text"]) for mark in (EVIL, "**", "<", "[", "everyone"))
        else:
            assert block["type"] == "RichTextBlock"
            runs = [jsontree.as_object(run) for run in jsontree.as_list(block["inlines"])]
            assert [run["type"] for run in runs] == ["TextRun", "TextRun"]


def test_nothing_is_a_date_of_the_cards_own_making() -> None:
    assert not any("{{" in text for text in texts_of(MADE))
    assert plain("{{{{DATE(x)}}}}") == "{ { { {DATE(x)}}}}"


def test_the_only_action_opens_the_page_of_the_ticket() -> None:
    (action,) = jsontree.as_list(card(MADE)["actions"])
    assert jsontree.as_object(action) == {
        "type": "Action.OpenUrl",
        "title": "Open the page",
        "url": "https://wicket.test/console/approvals/tkt_1",
    }


def test_a_card_that_would_be_too_large_goes_without_the_arguments() -> None:
    wide = replace(hostile_notice(), arguments=tuple((f"{n}", "\U0001f600" * 400) for n in range(20)), more=3)
    made = message(wide)
    assert len(jsontree.dump(made)) <= LARGEST
    assert "and 23 more values" in texts_of(made)
