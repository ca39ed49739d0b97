"""What clients are told when something is refused: the right class of the official clients, the right words."""

from collections.abc import AsyncIterator

import anthropic
import anyio
import httpx
import openai
import pytest

from governance.stage import RefusedError
from governance.verdict import Decision, Verdict
from tests.gateway.asking import BEARER, CHAT, CLAUDE, chat_client, claude_client, post
from tests.gateway.house import House
from tests.gateway.provider import Provider
from tests.gateway.samples import CHAT_ANSWER


def refuses(house: House, verdict: Verdict, **more: str) -> None:
    house.refuse = lambda exchange: RefusedError(verdict, exchange.id, **more)


DENY = Verdict(Decision.DENY, by="policy", rule="no-weapons", reason="weapons are not discussed here")


async def test_a_denial_names_its_rule_and_reason(house: House, provider: Provider) -> None:
    refuses(house, DENY)
    async with chat_client(house) as client, claude_client(house) as claude:
        with pytest.raises(openai.PermissionDeniedError, match=r"no-weapons.*weapons are not discussed") as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
        with pytest.raises(anthropic.PermissionDeniedError, match="no-weapons"):
            await claude.messages.create(model=CLAUDE, max_tokens=10, messages=[])
    assert caught.value.code == "denied"
    assert caught.value.response.json()["error"]["wicket"]["rule"] == "no-weapons"
    assert provider.received == []


async def test_a_held_call_says_where_to_decide_and_when_to_come_back(house: House) -> None:
    verdict = Verdict(Decision.HOLD, by="policy", rule="ask-first", reason="a person decides")
    refuses(house, verdict, ticket="tkt_1", link="http://localhost/console/approvals/tkt_1")
    async with chat_client(house) as client:
        with pytest.raises(openai.ConflictError, match="http://localhost/console/approvals/tkt_1") as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[])
    assert caught.value.code == "approval_pending"
    assert caught.value.response.headers["retry-after"] == "5"
    assert caught.value.response.json()["error"]["wicket"]["ticket"] == "tkt_1"


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (Verdict(Decision.DENY, by="kill", rule="kill.session", reason="stopped"), 403, "session_killed"),
        (Verdict(Decision.DENY, by="audit", rule="audit.unwritable", reason="no log"), 503, "unavailable"),
        (Verdict(Decision.DENY, by="detect", rule="stage.error", reason="broken"), 503, "unavailable"),
        (Verdict(Decision.DENY, by="budget", rule="budget.exceeded", reason="spent"), 429, "limit_exceeded"),
    ],
)
async def test_each_refusal_has_its_status(house: House, verdict: Verdict, status: int, code: str) -> None:
    refuses(house, verdict)
    answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_withheld_answer_is_paid_for_and_not_shown(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    house.refuse_response = DENY
    answer = await post(house, CHAT)
    assert answer.status_code == 403
    assert "hello" not in answer.text
    assert (house.outcomes[0].status, house.outcomes[0].output_tokens) == ("refused", 2)


async def test_warnings_reach_the_client_as_headers(house: House, provider: Provider) -> None:
    provider.answers(CHAT_ANSWER)
    house.warnings.append(Verdict(Decision.WARN, by="loop", rule="loop.repeat", reason="again\r\nset-cookie: é"))
    answer = await post(house, CHAT)
    assert answer.headers["x-wicket-warning"] == "loop.repeat: again?set-cookie: ?"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not valid JSON"),
        (b'{"model":"gpt-4o","model":"gpt-4o"}', "duplicate member name"),
        (b'{"model":"gpt-4o","n":NaN}', "not valid JSON"),
        (b'{"model":"gpt-4o","n":1e999}', "out of range"),
        (b'{"model":"gpt-4o","n":18446744073709551616}', "beyond 64 bits"),
        (b'{"model":"gpt-4o","x":"\xff"}', "invalid UTF-8"),
        (b'\xef\xbb\xbf{"model":"gpt-4o"}', "byte order mark"),
        (b'{"model":"gpt-4o","x":' + b"[" * 120 + b"]" * 120 + b"}", "nested deeper"),
        (b"[]", "JSON object"),
        (b'{"messages":[]}', "`model`"),
        (b'{"model":7}', "`model`"),
        (b'{"model":"gpt-4o","stream":"true"}', "`stream`"),
        (b"", "not valid JSON"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_malformed_requests_are_refused_and_recorded(
    house: House, provider: Provider, path: str, body: bytes, says: str
) -> None:
    answer = await post(house, body, path)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]
    assert provider.received == []
    assert [draft.tag.value for draft in house.drafts] == ["request.malformed"]
    assert house.drafts[0].fields["key_id"] == "key_test"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content_encoding": "gzip"}, CHAT, 415),
        ({"content_type": "text/plain"}, CHAT, 415),
        ({}, b'{"model":"gpt-4o","x":"' + b"x" * 100_000 + b'"}', 413),
    ],
)
async def test_bodies_that_are_not_plain_json_are_refused(
    house: House, provider: Provider, headers: dict[str, str], body: bytes, status: int
) -> None:
    answer = await post(house, body, **headers)
    assert answer.status_code == status
    assert provider.received == []
    assert [draft.tag.value for draft in house.drafts] == ["request.malformed"]


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_client_that_sends_too_much_is_told_so(house: House, provider: Provider, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 10_000

    headers = BEARER if chunked else BEARER | {"content-length": "3000000"}
    with anyio.fail_after(10):
        async with httpx.AsyncClient(base_url=house.url) as client:
            answer = await client.post("/v1/chat/completions", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


async def test_an_unknown_model_is_a_404_of_the_wire(house: House, provider: Provider) -> None:
    async with chat_client(house) as client, claude_client(house) as claude:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="claude-sonnet-5", messages=[])
        with pytest.raises(anthropic.NotFoundError):
            await claude.messages.create(model="gpt-4o", max_tokens=1, messages=[])
    assert caught.value.code == "model_not_found"
    assert [draft.fields["model"] for draft in house.drafts] == ["claude-sonnet-5", "gpt-4o"]


async def test_a_refusal_that_cannot_be_recorded_is_still_a_refusal(house: House) -> None:
    house.audit_is_down = True
    assert (await post(house, b"{")).status_code == 400


async def test_what_nobody_expected_is_told_in_our_words(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> RefusedError:
        raise ZeroDivisionError("a secret of the code")

    house.refuse = broken
    answer = await post(house, CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "a secret of the code" in caplog.text
