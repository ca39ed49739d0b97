"""What people are told, before it takes the form of a chat or a mailbox."""

from dataclasses import replace
from datetime import timedelta

from approvals.amendment import amended
from approvals.channels.notice import MOST_ARGUMENTS, Notice, load, notice, one_line, sample
from approvals.ticket import State, Ticket
from governance.audit.event import Tag
from tests.approvals.calls import AT, ticket_of, tool_call
from tests.approvals.channels.hostile import hostile_notice

TICKET = replace(
    ticket_of(tool_call({"path": "/tmp/a", "edits": [{"n": 1}]})), rule="ask", reason="writes need a person"
)


def told(event: Tag, ticket: Ticket = TICKET, *, arguments: bool = True) -> Notice:
    return notice(event, ticket, AT + timedelta(seconds=150), "https://wicket.test", arguments=arguments)


def test_a_question_says_who_wants_what_why_and_until_when() -> None:
    made = told(Tag.APPROVAL_REQUESTED)
    assert made.title == "A call waits for approval"
    assert made.link == "https://wicket.test/console/approvals/tkt_1"
    assert made.facts == (
        ("Tool", "write_file"),
        ("Server", "files"),
        ("Agent", "builder"),
        ("User", "ann"),
        ("Key", "key_1"),
        ("Run", "ses_1"),
        ("Rule", "ask"),
        ("Why", "writes need a person"),
        ("Until", "2026-11-21 12:05:00 UTC"),
    )
    assert made.arguments == (("edits[0].n", "1"), ("path", "/tmp/a"))


def test_a_reminder_says_how_much_time_has_passed_and_a_decision_who_decided_and_why() -> None:
    assert dict(told(Tag.APPROVAL_REMINDED).facts)["Time passed"] == "50 %"
    denied = replace(TICKET, state=State.DENIED, decided_by="approver:bob", decision_reason="not today")
    facts = dict(told(Tag.APPROVAL_DENIED, denied).facts)
    assert (facts["Decided by"], facts["Reason"]) == ("approver:bob", "not today")
    assert "Until" not in facts


def test_an_approval_shows_the_arguments_that_a_person_wrote_instead() -> None:
    form, digest = amended(TICKET.bound, {"path": "/tmp/b"})
    changed = replace(TICKET, state=State.APPROVED, edited_form=form, edited_digest=digest, decided_by="bob")
    made = told(Tag.APPROVAL_GRANTED, changed)
    assert made.arguments == (("path", "/tmp/b"),)
    assert dict(made.facts)["Changed"] == "yes, a person changed the arguments"


def test_a_channel_may_be_told_no_arguments() -> None:
    made = told(Tag.APPROVAL_REQUESTED, arguments=False)
    assert made.arguments == ()
    assert "/tmp/a" not in made.dump()


def test_a_call_that_was_called_off_and_an_approval_that_ran_out_are_named_as_what_they_are() -> None:
    withdrawn = replace(TICKET, state=State.INVALIDATED, decided_by="client", decision_reason="called off")
    assert told(Tag.APPROVAL_DENIED, withdrawn).title == "A call is wanted no more"
    unused = replace(TICKET, state=State.EXPIRED, decided_by="approver:bob")
    assert told(Tag.APPROVAL_EXPIRED, unused).title == "An approval was not used in time"


def test_an_event_that_nobody_thought_of_is_told_plainly() -> None:
    assert told(Tag.APPROVAL_PROLONGED).title == "News of a held call: approval.prolonged"


def test_a_call_of_a_thousand_values_is_told_in_part() -> None:
    large = ticket_of(tool_call({"items": [{"n": number, "text": "x" * 5_000} for number in range(1_000)]}))
    made = told(Tag.APPROVAL_REQUESTED, large)
    assert (len(made.arguments), made.more) == (MOST_ARGUMENTS, 2_000 - MOST_ARGUMENTS)
    assert len(made.dump()) < 10_000


def test_everything_that_was_written_by_others_is_one_line_of_visible_text() -> None:
    made = hostile_notice()
    for text in (part for pair in (*made.facts, *made.arguments) for part in pair):
        assert "\n" not in text
        assert text.isprintable()
    assert "\\u202e" in made.dump()


def test_a_long_text_is_cut_after_it_was_made_visible() -> None:
    assert one_line("\u202e" * 300, 100).startswith("\\u202e\\u202e")
    assert len(one_line("\u202e" * 300, 100)) < 130
    assert one_line("x" * 300, 100) == "x" * 100 + "… (300 characters)"


def test_a_notice_comes_back_as_it_was_kept() -> None:
    for made in (hostile_notice(), sample("https://wicket.test")):
        assert load(made.dump()) == made
