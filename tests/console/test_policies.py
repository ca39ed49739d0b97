"""The pages of policies: the rules with what they did, their versions, and why an exchange was decided so."""

import re
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from governance.audit.event import Draft, Tag
from governance.history.ledger import Spoke, Tally
from governance.history.store import SqlShelf, SqlVersions
from governance.identity.keys import KeyRole
from governance.policy.engine import Policy
from tests.console.conftest import Served
from tests.console.judging import judge, take_up
from tests.console.test_app import signed_in

HOSTILE = "<script>alert(1)</script>\u202e"
BEFORE = """\
version: 1
rules:
  - {id: writes, match: {tool: write_*}, decide: hold, reason: a person looks}
"""
POLICY = """\
version: 1
rules:
  - {id: writes, match: {tool: write_*}, decide: deny, reason: nobody writes}
  - {id: reads, match: {server: files, tool: read_*}, decide: allow}
  - {id: drafted, match: {tool: read_*}, decide: deny, mode: shadow}
  - {id: paid, match: {tool: "*", args: {/amount: {gt: 10}}}, decide: hold}
"""


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def taken_up(served: Served, text: str, **given: str) -> Policy:
    return served.portal.call(lambda: take_up(served.core, text, **given))


def asked(served: Served, policy: Policy, exchange_id: str, **given: Any) -> None:
    served.portal.call(lambda: judge(served.core, policy, exchange_id, **given))


def row_of(html: str, rule: str) -> str:
    """The row of a rule in the table of those in force, as words."""
    rows = html.partition('class="rules"')[2].partition("</table>")[0].split("<tr>")
    (row,) = [one for one in rows if f'"rule">{rule}<' in one]
    return " ".join(re.sub(r"<[^>]*>", " ", row).split())


def test_without_a_policy_the_page_says_what_to_do(http: httpx.Client, served: Served) -> None:
    signed_in(http, served)
    assert "No policy was in force yet" in (page := http.get("/console/policies").text)
    assert "wicket check" in page
    taken_up(served, "version: 1\ndefault: deny\n")
    page = http.get("/console/policies").text
    assert "There is no rule yet, and so every tool call meets <code>default: deny</code>" in page


def test_rules_stand_in_their_order_each_with_what_it_did(http: httpx.Client, served: Served) -> None:
    policy = taken_up(served, POLICY)
    for number in range(3):
        asked(served, policy, f"exc_r{number}", tool="read_file")
    asked(served, policy, "exc_w", tool="write_file", args={"amount": 20})
    signed_in(http, served)
    page = http.get("/console/policies").text
    places = [page.index(f'"rule">{rule}<') for rule in ("writes", "reads", "drafted", "paid", "default")]
    assert places == sorted(places)
    assert "tool [&#34;write_*&#34;] deny 1 fitted 1 decided exc_w" in row_of(page, "writes")
    assert "allow 3 fitted 3 decided exc_r2" in row_of(page, "reads")
    assert "shadow 3 fitted never: it is in shadow mode" in row_of(page, "drafted")
    assert "1 fitted 0 decided" in row_of(page, "paid"), "another rule was stronger"
    assert "nobody writes" in row_of(page, "writes")


def test_examples_go_from_the_newest_to_older_ones(http: httpx.Client, served: Served) -> None:
    taken_up(served, POLICY)
    now, names = served.core.clock.now(), [f"exc_{number}" for number in range(4)]
    older, newer = f"{now - timedelta(hours=2):%Y-%m-%dT%H}", f"{now:%Y-%m-%dT%H}"
    counts = {
        Spoke(newer, "acme", "writes", "decided", "deny"): Tally(9, deque(names[2:])),
        Spoke(older, "acme", "writes", "decided", "deny"): Tally(9, deque(names[:2])),
    }
    served.portal.call(SqlShelf(served.core.store).add, counts, ())
    signed_in(http, served)
    assert row_of(http.get("/console/policies").text, "writes").endswith("18 decided exc_3 exc_2 exc_1")


def test_counts_are_of_the_last_day_and_of_rules_that_are_gone_too(http: httpx.Client, served: Served) -> None:
    policy = taken_up(served, POLICY)
    asked(served, policy, "exc_old", tool="write_file")
    served.core.clock.advance(25 * 3600)
    served.portal.call(served.core.identity.refresh)
    signed_in(http, served)
    assert "0 fitted 0 decided" in row_of(http.get("/console/policies").text, "writes")
    asked(served, policy, "exc_new", tool="write_file")
    taken_up(served, "version: 1\nrules:\n  - {id: other, match: {tool: x}, decide: deny}\n")
    gone = http.get("/console/policies").text.partition("In force no more")[2]
    assert '"rule">writes<' in gone
    assert "exc_new" in gone
    assert "exc_old" not in gone


def test_what_a_shadow_rule_would_have_done_is_a_plot_with_its_table_and_examples(page: Page, served: Served) -> None:
    policy = taken_up(served, POLICY)
    served.portal.call(served.core.seen, "ses_1")
    asked(served, policy, "exc_a", tool="read_file")
    asked(served, policy, "exc_b", tool="read_file")
    page.goto(f"{served.url}/console/")
    page.get_by_role("link", name="Policies").click()
    plot = page.get_by_role("img", name="What rule drafted would have decided, by hour")
    expect(plot.locator("rect.mark-deny title")).to_have_text(re.compile("2 deny"))
    card = page.locator("section.card", has=plot)
    card.get_by_text("The same as a table").click()
    expect(card.locator("tbody tr")).to_have_count(1)
    card.get_by_role("link", name="exc_b").click()
    expect(page.get_by_role("heading", name="Why it was decided so")).to_be_visible()
    expect(page.locator("tr", has_text="drafted")).to_contain_text("would have decided deny")
    page.get_by_role("link", name="ses_1").click()
    page.locator("tr", has_text="read_file").get_by_role("link", name="why").first.click()
    expect(page.locator("tr", has_text="reads")).to_contain_text("this decided")


def test_warnings_of_the_lint_stand_on_the_page(http: httpx.Client, served: Served) -> None:
    taken_up(served, "version: 1\nrules:\n  - {id: nowhere, match: {server: nosuch}, decide: deny}\n")
    signed_in(http, served)
    page = http.get("/console/policies").text
    assert "Hardly meant" in page
    assert "policy.yaml:3: `match.server` of rule `nowhere`" in page


def test_versions_are_listed_and_two_can_be_compared(http: httpx.Client, served: Served) -> None:
    first, second = taken_up(served, BEFORE, by="gateway"), taken_up(served, POLICY)
    signed_in(http, served)
    page = http.get("/console/policies").text
    assert page.index(f"in force: <code>{second.version[:12]}") < page.index(f'title="{first.version}"')
    assert "by gateway" in page
    link = f"/console/policies?before={first.version[:12]}&after={second.version[:12]}"
    assert link.replace("&", "&amp;") in page
    page = http.get(link).text.partition('id="difference"')[2]
    assert "<code>hold</code> → <code>deny</code>" in page
    assert "<del>-  - {id: writes" in page
    assert "<ins>+  - {id: writes" in page
    assert page.index('"rule">drafted<') < page.index("By line")


@pytest.mark.parametrize("name", ["ffffff", "x", "", "%00", "<b>bold</b>"])
def test_a_version_that_never_was_is_said_so(http: httpx.Client, served: Served, name: str) -> None:
    policy = taken_up(served, POLICY)
    signed_in(http, served)
    answer = http.get(f"/console/policies?before={name}&after={policy.version}")
    assert answer.status_code == 404
    assert "no policy `ffffff` was ever in force" in answer.text or "names no version" in answer.text
    assert "<b>" not in answer.text


def test_an_explanation_tells_of_each_rule_why(http: httpx.Client, served: Served) -> None:
    policy = taken_up(served, POLICY)
    asked(served, policy, "exc_w", tool="write_file", args={"amount": "much"})
    signed_in(http, served)
    page = http.get("/console/policies/explain/exc_w").text
    rows = [" ".join(re.sub(r"<[^>]*>", " ", one).split()) for one in page.partition("<tbody>")[2].split("<tr>")[1:]]
    assert [row.split()[0] for row in rows] == ["writes", "reads", "drafted", "paid"]
    assert "deny fits this decided" in rows[0]
    assert " no " in rows[1]
    assert " fault " in rows[3]
    assert policy.version in page
    assert "in force" in page
    assert "much" not in page, "an argument is never repeated"
    taken_up(served, BEFORE)
    assert "what changed since" in http.get("/console/policies/explain/exc_w").text


def test_what_was_not_kept_is_unknown_and_said(http: httpx.Client, served: Served) -> None:
    policy = taken_up(served, POLICY)
    fields = {"exchange_id": "exc_e", "tenant_id": "acme", "action": "tool.call", "server": "files", "tool": "drop"}
    said = {"policy_decision": "allow", "policy_version": policy.version}
    served.portal.call(served.core.audit.append, Draft(Tag.EXCHANGE_ADMITTED, {**fields, **said}))
    signed_in(http, served)
    page = http.get("/console/policies/explain/exc_e").text
    assert 'class="pill hold">unknown' in page
    assert "only the event of this exchange was kept" in page


@pytest.mark.parametrize("name", ["exc_none", "%00", "exc_w%00", "x" * 300, "%E2%80%AE"])
def test_an_exchange_that_is_not_there_is_not_found(http: httpx.Client, served: Served, name: str) -> None:
    signed_in(http, served)
    assert http.get(f"/console/policies/explain/{name}").status_code == 404


def test_a_person_of_one_tenant_sees_its_counts_and_its_exchanges_only(http: httpx.Client, served: Served) -> None:
    policy = taken_up(served, POLICY)
    asked(served, policy, "exc_acme", tool="write_file")
    asked(served, policy, "exc_umbrella", tool="write_file", tenant="umbrella", session="ses_2")
    signed_in(http, served, served.portal.call(lambda: served.core.key(KeyRole.VIEWER, tenant="umbrella")))
    page = http.get("/console/policies").text
    assert "1 fitted 1 decided exc_umbrella" in row_of(page, "writes")
    assert "exc_acme" not in page
    assert http.get("/console/policies/explain/exc_umbrella").status_code == 200
    answer = http.get("/console/policies/explain/exc_acme")
    assert answer.status_code == 404
    assert "write_file" not in answer.text
    http.cookies.clear()
    signed_in(http, served)
    assert "2 fitted 2 decided" in row_of(http.get("/console/policies").text, "writes")


def test_the_log_leads_to_explanations_of_decisions_and_of_nothing_else(http: httpx.Client, served: Served) -> None:
    asked(served, taken_up(served, POLICY), "exc_w", tool="write_file")
    served.portal.call(served.core.audit.append, Draft(Tag.EXCHANGE_COMPLETED, {"exchange_id": "exc_other"}))
    signed_in(http, served)
    page = http.get("/console/audit").text
    assert page.count("/console/policies/explain/") == 1
    assert '<a href="/console/policies/explain/exc_w">why</a>' in page


def test_whatever_rules_say_is_text(http: httpx.Client, served: Served) -> None:
    text = f'version: 1\nrules:\n  - id: odd\n    decide: deny\n    match: {{tool: "{HOSTILE[:-1]}\\u202e"}}\n'
    text += f'    reason: "{HOSTILE[:-1]}\\u202e" # {HOSTILE[:-1]}\n'
    first, second = taken_up(served, BEFORE), taken_up(served, text, by=HOSTILE, file=f"{HOSTILE}.yaml")
    asked(served, second, "exc_h", tool=HOSTILE)
    hour = f"{served.core.clock.now():%Y-%m-%dT%H}"
    counts = {Spoke(hour, "acme", HOSTILE, "decided", "deny"): Tally(1)}
    served.portal.call(SqlShelf(served.core.store).add, counts, ())
    signed_in(http, served)
    for path in (f"?before={first.version}&after={second.version}", "/explain/exc_h"):
        page = http.get(f"/console/policies{path}").text
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert 'class="hidden-character"' in page


def test_a_policy_that_cannot_be_used_any_more_is_said_so_and_its_versions_stay(
    http: httpx.Client, served: Served
) -> None:
    policy = taken_up(served, POLICY)
    broken = [("policy.yaml", "version: 1\nrules: [{id: x, decide: nonsense}]\n")]
    served.core.clock.advance(1)
    at = served.core.clock.now()
    work = SqlVersions(served.core.store).taken_up("e" * 64, broken, rules=1, by="old", at=at)
    served.portal.call(served.core.store.write, work)
    signed_in(http, served)
    page = http.get("/console/policies").text
    assert "cannot use the policy that was taken up last" in page
    assert policy.version[:12] in page
    page = http.get(f"/console/policies?before={policy.version}&after={'e' * 64}").text
    assert "The rules could not be compared" in page
