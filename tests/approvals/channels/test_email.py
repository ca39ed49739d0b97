"""Messages for mailboxes, as they are written."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser

from approvals.channels.email import message
from approvals.channels.notice import sample
from governance.audit.event import Tag
from tests.approvals.channels.hostile import AT, EVIL, hostile_notice


def written(event: Tag = Tag.APPROVAL_REQUESTED) -> EmailMessage:
    """A message as its reader gets it."""
    made = message(hostile_notice(event), "msg_1", AT, "wicket@example.org", ("a@example.org", "b@example.org"))
    read = message_from_bytes(made.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    return read


def body(made: EmailMessage, kind: str) -> str:
    part = made.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


class Reader(HTMLParser):
    """What a page has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str | None] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]


def test_no_text_of_others_begins_a_header() -> None:
    made = written()
    names = {"Subject", "From", "To", "Date", "Message-ID", "References", "Auto-Submitted", "MIME-Version"}
    assert set(made.keys()) - names == {"Content-Type"}
    assert "\\u000d\\nX-Evil" in str(made["Subject"]) or "files\\u000d" in str(made["Subject"])
    assert made["To"] == "a@example.org, b@example.org"


def test_the_text_and_the_page_say_the_same_and_link_to_the_ticket() -> None:
    made = written()
    text, page = body(made, "plain"), Reader(body(made, "html"))
    assert "Open the page: https://wicket.test/console/approvals/tkt_1" in text
    assert "Bcc: victim" in text
    assert "\nBcc: victim" not in text
    assert page.links == ["https://wicket.test/console/approvals/tkt_1"]
    assert EVIL not in page.links
    assert set(page.tags) <= {"html", "body", "h2", "table", "tr", "th", "td", "p", "pre", "a"}


def test_each_attempt_is_the_same_message_and_all_of_a_ticket_are_one_thread() -> None:
    asked, denied = written(), written(Tag.APPROVAL_DENIED)
    assert asked["Message-ID"] == "<msg_1@example.org>"
    assert asked["References"] == denied["References"] == "<tkt_1@example.org>"
    assert asked["Auto-Submitted"] == "auto-generated"


def test_a_trial_is_in_no_thread() -> None:
    made = message(sample("https://wicket.test"), "msg_2", AT, "wicket@example.org", ("a@example.org",))
    assert made["References"] is None
    assert made["Subject"] == "[Wicket] Wicket can write here"
