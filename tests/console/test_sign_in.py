"""People sign in by an identity provider, in a real Chromium: by one that we did not write, and by one that attacks."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from console.sso import CALLBACK
from console.store import SqlPeople
from governance.audit.query import Wanted, find
from governance.identity.keys import KeyRole
from tests.approvals.serving import served as serving
from tests.authority import new_key
from tests.console.conftest import Served
from tests.console.signing_in import (
    CLIENT,
    SECRET,
    BentProvider,
    bent_console,
    console,
    free_socket,
    official_provider,
    settings,
)

SIGN_IN = "Sign in with Acme"


@pytest.fixture
def bent(sqlite_url: str) -> Iterator[tuple[Served, BentProvider]]:
    with bent_console(sqlite_url) as both:
        yield both


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    return context.new_page()


def sign_in(tab: Page, served: Served, to: str = "/console/") -> None:
    tab.goto(f"{served.url}{to}")
    tab.get_by_role("link", name=SIGN_IN).click()


def nobody_came(tab: Page, served: Served) -> None:
    tab.goto(f"{served.url}/console/")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    assert events(served, "person.signed_in") == []


def events(served: Served, tag: str) -> list[dict[str, object]]:
    found = served.portal.call(find, served.core.store, Wanted(event_types=(tag,)))
    return [dict(record.fields) for record in found]


def test_people_come_in_by_a_certified_provider_as_what_their_claims_say(sqlite_url: str, tab: Page) -> None:
    with free_socket() as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with (
            official_provider(base + CALLBACK) as issuer,
            console(sqlite_url, listener, settings(issuer, base)) as served,
        ):
            sign_in(tab, served, "/console/approvals")
            tab.locator("input[name=login]").fill("finance-ann")
            tab.locator("input[name=password]").fill("whatever")
            tab.get_by_role("button", name="Sign-in").click()
            tab.get_by_role("button", name="Continue").click()
            # It goes on to the page that was asked for, whatever stood between.
            tab.wait_for_url(f"{base}/console/approvals")
            expect(tab.locator(".person")).to_contain_text("finance-ann@acme.test")
            expect(tab.locator(".person small")).to_have_text("approver")
            cookies = {one.get("name"): one for one in tab.context.cookies(f"{base}/console/")}
            assert cookies["wicket_console"].get("httpOnly") is True
            assert cookies["wicket_console"].get("sameSite") == "Strict"
            assert "wicket_sign_in" not in cookies
            (event,) = events(served, "person.signed_in")
            assert (event["role"], event["tenant_id"], event["how"]) == ("approver", "acme", "oidc")
            tab.get_by_role("button", name="Sign out").click()
            expect(tab.get_by_role("link", name=SIGN_IN)).to_be_visible()
            held = {
                "name": "wicket_console",
                "value": cookies["wicket_console"].get("value", ""),
                "url": f"{base}/console",
            }
            tab.context.add_cookies([held])  # type: ignore[list-item]
            tab.goto(f"{base}/console/approvals")
            expect(tab.get_by_role("link", name=SIGN_IN)).to_be_visible()


def test_what_is_asked_of_a_provider_is_a_code_by_pkce_with_state_and_nonce(
    tab: Page, bent: tuple[Served, BentProvider]
) -> None:
    served, provider = bent
    sign_in(tab, served)
    tab.wait_for_url(f"{served.url}/console/")
    (asked,), (form,) = provider.authorized, provider.forms
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == served.url + CALLBACK
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert len({asked["state"], asked["nonce"], form["code_verifier"]}) == 3
    assert (form["auth"], form["redirect_uri"]) == (f"{CLIENT}:{SECRET}", asked["redirect_uri"])


def an_unsigned_token(provider: BentProvider) -> str:
    claims = jwt.decode(provider.usual_token(), options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none")


def a_token_signed_by_the_public_key(provider: BentProvider) -> str:
    claims = jwt.decode(provider.usual_token(), options={"verify_signature": False})
    return jwt.encode(claims, str(provider.keys[0].jwk).ljust(64, "x"), algorithm="HS256", headers={"kid": "first"})


def a_token_of_a_foreign_key(provider: BentProvider) -> str:
    said = jwt.decode(provider.usual_token(), options={"verify_signature": False})
    return jwt.encode(said, new_key("first").private, algorithm="ES256", headers={"kid": "first"})


ATTACKS = {
    "nonce": ({"nonce": "another"}, "does not belong to this sign-in"),
    "no-nonce": ({"nonce": None}, "does not belong to this sign-in"),
    "another-client": ({"aud": "somebody-else"}, "is for another client"),
    "two-audiences": ({"aud": [CLIENT, "somebody-else"]}, "is for another client"),
    "authorized-party": ({"azp": "somebody-else"}, "is for another client"),
    "issuer": ({"iss": "http://127.0.0.1:1"}, "is of another issuer"),
    "expired": ({"exp": 1_700_000_000}, "has expired"),
    "no-end": ({"exp": None}, "has expired"),
    "future": ({"iat": 4_000_000_000, "exp": 4_000_000_600}, "is from the future"),
    "at-hash": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "does not belong to the access token"),
    "no-subject": ({"sub": None}, "does not say what it must"),
    "access-token": ({"head": {"typ": "at+jwt"}}, "another kind of token"),
    "critical": ({"head": {"crit": ["x"], "x": 1}}, "no ID token that is signed"),
}


def test_a_token_that_breaks_a_rule_lets_nobody_in(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    for attack, (claims, told) in ATTACKS.items():
        provider.claims = claims
        sign_in(tab, served)
        expect(tab.get_by_role("alert"), attack).to_contain_text(told)
        assert provider.made[-1] not in tab.content()
        nobody_came(tab, served)
    assert len(provider.made) == len(ATTACKS) == len(events(served, "person.refused"))


def test_a_token_that_the_provider_did_not_sign_lets_nobody_in(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    for forge in (an_unsigned_token, a_token_signed_by_the_public_key, a_token_of_a_foreign_key):
        provider.token_of = partial(forge, provider)
        sign_in(tab, served)
        expect(tab.get_by_role("alert")).to_contain_text("signed by")
        nobody_came(tab, served)


def test_an_answer_of_another_provider_is_not_taken_for_this_ones(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    provider.iss = "http://127.0.0.1:1"
    sign_in(tab, served)
    expect(tab.get_by_role("alert")).to_contain_text("of another identity provider")
    assert provider.forms == []


def test_a_code_and_its_state_are_good_once_and_in_one_browser(
    tab: Page, context: BrowserContext, bent: tuple[Served, BentProvider]
) -> None:
    served, provider = bent
    seen: list[tuple[str, dict[str, str]]] = []
    tab.on("request", lambda one: seen.append((one.url, one.all_headers())) if CALLBACK in one.url else None)
    sign_in(tab, served)
    tab.wait_for_url(f"{served.url}/console/")
    ((url, headers),) = seen
    kept = next(one for one in headers["cookie"].split("; ") if one.startswith("wicket_sign_in="))
    assert "wicket_sign_in" not in {one.get("name") for one in context.cookies(served.url + CALLBACK)}

    def again(cookie: str) -> str:
        return tab.request.get(url, headers={"cookie": cookie}, max_redirects=0).text()

    assert "used before" in again(kept)
    assert "began no sign-in" in again("wicket_sign_in=")
    other = tab.request.get(f"{served.url}/console/login/sso", max_redirects=0)
    theirs = other.headers["set-cookie"].partition(";")[0]
    assert "does not belong to the sign-in that this browser began" in again(theirs)
    assert len(provider.forms) == 1


def test_a_code_that_was_redeemed_elsewhere_lets_nobody_in(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    provider.refusal = "invalid_grant"
    sign_in(tab, served)
    expect(tab.get_by_role("alert")).to_contain_text("does not take the code")


def test_a_sign_in_that_took_too_long_is_begun_anew(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, _ = bent
    begun = tab.request.get(f"{served.url}/console/login/sso", max_redirects=0)
    query = parse_qs(urlsplit(begun.headers["location"]).query)
    served.core.clock.advance(601)
    cookie = begun.headers["set-cookie"].partition(";")[0]
    late = f"{served.url}{CALLBACK}?code=x&state={query['state'][0]}"
    assert "took too long" in tab.request.get(late, headers={"cookie": cookie}).text()


def test_whom_no_rule_names_is_not_let_in(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    nobodies: list[dict[str, object]] = [
        {"groups": ["nobody"]},
        {"groups": []},
        {"groups": None},
        {"email_verified": False},
        {"email_verified": None},
        {"email": "ann@evil.test"},
    ]
    for claims in nobodies:
        provider.claims = claims
        sign_in(tab, served)
        expect(tab.get_by_role("alert"), str(claims)).to_contain_text("nothing here says that you may come in")
        nobody_came(tab, served)


def test_a_claim_cannot_give_all_tenants(sqlite_url: str, tab: Page) -> None:
    people = [{"match": {"sub": "*"}, "role": "viewer"}]
    claims = {"user": "sub", "tenant": "org"}
    with bent_console(sqlite_url, people=people, claims=claims) as (served, provider):
        provider.claims = {"org": "*"}
        sign_in(tab, served)
        expect(tab.get_by_role("alert")).to_contain_text("cannot give all tenants")
        provider.claims = {"org": "acme"}
        sign_in(tab, served)
        tab.wait_for_url(f"{served.url}/console/")


def test_another_role_or_being_shut_out_ends_every_session(
    tab: Page, context: BrowserContext, bent: tuple[Served, BentProvider]
) -> None:
    served, provider = bent
    sign_in(tab, served)
    tab.wait_for_url(f"{served.url}/console/")
    before = context.cookies(f"{served.url}/console")
    context.clear_cookies()
    provider.claims = {"groups": ["audit"]}
    sign_in(tab, served)
    expect(tab.locator(".person small")).to_have_text("auditor")
    assert events(served, "person.signed_in")[-1]["was_role"] == "approver"
    now = context.cookies(f"{served.url}/console")
    context.clear_cookies()
    context.add_cookies(before)  # type: ignore[arg-type]
    tab.goto(f"{served.url}/console/sessions")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    context.clear_cookies()
    context.add_cookies(now)  # type: ignore[arg-type]
    tab.goto(f"{served.url}/console/audit")
    expect(tab.get_by_role("heading", name="Audit log")).to_be_visible()

    people = SqlPeople(served.core.store, served.core.audit, served.core.clock)
    (person,) = served.portal.call(people.all)
    assert person.role is KeyRole.AUDITOR
    assert served.portal.call(lambda: people.revoke(person.id, actor="test", reason="left"))
    tab.goto(f"{served.url}/console/audit")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.get_by_role("link", name=SIGN_IN).click()
    expect(tab.get_by_role("alert")).to_contain_text("shut you out")
    assert served.portal.call(lambda: people.restore(person.id, actor="test", reason="back"))
    sign_in(tab, served)
    expect(tab.locator(".person small")).to_have_text("auditor")


def test_a_session_ends_by_itself(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, _ = bent
    sign_in(tab, served)
    tab.wait_for_url(f"{served.url}/console/")
    served.core.clock.advance(12 * 3600 + 1)
    tab.goto(f"{served.url}/console/sessions")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()


def test_signing_in_leads_nowhere_else(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, _ = bent
    for to in ("//evil.test", "https://evil.test/", "/console/..//evil.test", "/v1/models", "/console/\\evil"):
        tab.goto(f"{served.url}/console/login/sso?next={to}")
        tab.wait_for_url(f"{served.url}/console/")


def test_a_provider_that_is_away_is_said_so_and_keys_still_open(tab: Page, bent: tuple[Served, BentProvider]) -> None:
    served, provider = bent
    provider.is_down = True
    sign_in(tab, served)
    expect(tab.get_by_role("alert")).to_contain_text("cannot be asked now")
    expect(tab.get_by_label("Key")).to_be_visible()
    asked = len(provider.asked)
    tab.get_by_role("link", name=SIGN_IN).click()
    expect(tab.get_by_role("alert")).to_contain_text("cannot be asked now")
    assert len(provider.asked) == asked
    provider.is_down = False
    served.core.clock.advance(6)
    tab.get_by_role("link", name=SIGN_IN).click()
    tab.wait_for_url(f"{served.url}/console/")


def test_behind_https_the_cookies_are_for_this_host_and_secure_connections_only(sqlite_url: str, tab: Page) -> None:
    with free_socket() as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        provider = BentProvider()
        with serving(provider.app()) as port:
            provider.url = f"http://127.0.0.1:{port}"
            config = settings(provider.url, "https://wicket.example.org")
            with console(sqlite_url, listener, config):
                begun = tab.request.get(f"{base}/console/login/sso", max_redirects=0)
                kept = begun.headers["set-cookie"]
                asked = {name: one[0] for name, one in parse_qs(urlsplit(begun.headers["location"]).query).items()}
                assert asked["redirect_uri"] == "https://wicket.example.org/console/login/callback"
                assert kept.startswith("__Host-wicket-sign-in=")
                gone = tab.request.get(begun.headers["location"], max_redirects=0).headers["location"]
                came = tab.request.get(
                    base + gone.removeprefix("https://wicket.example.org"),
                    headers={"cookie": kept.partition(";")[0]},
                    max_redirects=0,
                )
                given = came.headers["set-cookie"]
                for cookie in (kept, next(one for one in given.split("\n") if one.startswith("__Host-wicket="))):
                    assert {"Secure", "HttpOnly", "Path=/"} <= {one.strip() for one in cookie.split(";")}
                    assert "Domain" not in cookie
