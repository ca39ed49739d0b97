"""One approver decides in the place of another: on both databases."""

from datetime import timedelta

import pytest

from approvals.delegation.delegation import Delegation, DelegationError
from approvals.delegation.store import SqlDelegations
from approvals.desk import Desk
from approvals.quorum import Approver, person_of
from approvals.ticket import State, Ticket
from governance.audit.event import Tag
from governance.identity.keys import Grant, KeyRole, mint
from governance.identity.store import SqlKeys
from governance.store import Store
from governance.verdict import Charter, Decision, Verdict
from tests.approvals.calls import tool_call
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock


class Office:
    """People with keys, and what one delegates to another."""

    def __init__(self, desk: Desk, store: Store, ledger: Ledger, clock: ManualClock) -> None:
        self.desk, self.clock = desk, clock
        self.keys = SqlKeys(store, ledger, clock)
        self.delegations = SqlDelegations(store, ledger)
        self.key_of: dict[str, str] = {}

    async def person(
        self, user: str, team: str = "", role: KeyRole = KeyRole.APPROVER, tenant: str = "acme"
    ) -> Approver:
        key = mint(Grant(role, tenant=tenant, team=team, user=user), self.clock.now()).key
        await self.keys.add(key, actor="test")
        self.key_of[user] = key.id
        return Approver(f"{user} ({key.id})", person_of(user, key.id), user, role.value, team)

    async def delegate(self, giver: Approver, to: str, hours: float = 1, tenant: str = "acme") -> Delegation:
        now = self.clock.now()
        return await self.delegations.give(
            giver, self.key_of[giver.user], tenant, to=to, reason="away", until=now + timedelta(hours=hours), now=now
        )

    async def held(self, *charters: Charter) -> str:
        verdict = Verdict(Decision.HOLD, by="policy", rule="pay", reason="money", version="v1", charters=charters)
        return (await self.desk.hold(tool_call(), verdict)).ticket

    async def approves(self, ticket: str, by: Approver) -> bool:
        decided = await self.desk.approve(ticket, by=by)
        assert decided is not None
        return decided.made

    async def state(self, ticket: str) -> State:
        found = await self.desk.get(ticket)
        assert found is not None
        return found.state


@pytest.fixture
def office(desk: Desk, store: Store, ledger: Ledger, clock: ManualClock) -> Office:
    return Office(desk, store, ledger, clock)


PAY = Charter(("team:pay",))


async def test_a_delegate_decides_and_both_names_are_recorded(office: Office, ledger: Ledger) -> None:
    zoe, bob = await office.person("zoe", "pay"), await office.person("bob")
    ticket = await office.held(PAY)
    assert not await office.approves(ticket, bob)
    await office.delegate(zoe, "Bob")
    assert await office.desk.objection(await found(office, ticket), bob) == ""
    assert await office.approves(ticket, bob)
    settled = await found(office, ticket)
    assert (settled.state, settled.decided_by) == (State.APPROVED, f"{bob.name} for {zoe.name}")
    (vote,) = settled.votes
    assert (vote.by, vote.on_behalf) == (bob, zoe)
    (granted,) = ledger.of(Tag.APPROVAL_GRANTED)
    assert (granted["actor"], granted["on_behalf_of"]) == (bob.name, zoe.name)
    (given,) = ledger.of(Tag.DELEGATION_GIVEN)
    assert (given["actor"], given["to"], given["reason"]) == (zoe.name, "Bob", "away")


async def found(office: Office, ticket: str) -> Ticket:
    kept = await office.desk.get(ticket)
    assert kept is not None
    return kept


async def test_it_is_not_passed_on(office: Office) -> None:
    zoe, bob, eve = await office.person("zoe", "pay"), await office.person("bob"), await office.person("eve")
    await office.delegate(zoe, "bob")
    await office.delegate(bob, "eve")
    assert not await office.approves(await office.held(PAY), eve)


@pytest.mark.parametrize("first", ["zoe", "bob"])
async def test_who_decides_and_who_is_decided_for_count_as_one(office: Office, first: str) -> None:
    people = {"zoe": await office.person("zoe", "pay"), "bob": await office.person("bob")}
    ann = await office.person("mia", "pay")
    await office.delegate(people["zoe"], "bob")
    ticket = await office.held(Charter(("team:pay",), 2))
    await office.approves(ticket, people.pop(first))
    (second,) = people.values()
    await office.approves(ticket, second)
    assert await office.state(ticket) is State.PENDING
    assert (await found(office, ticket)).standing.have == 1
    assert await office.approves(ticket, ann)
    assert await office.state(ticket) is State.APPROVED


async def test_two_delegates_of_one_person_count_as_one(office: Office) -> None:
    zoe, bob, eve = await office.person("zoe", "pay"), await office.person("bob"), await office.person("eve")
    await office.delegate(zoe, "bob")
    await office.delegate(zoe, "eve")
    ticket = await office.held(Charter(("team:pay",), 2))
    assert await office.approves(ticket, bob)
    assert not await office.approves(ticket, eve)
    assert await office.state(ticket) is State.PENDING


async def test_neither_may_be_the_person_whose_call_it_is(office: Office) -> None:
    """The call was made for Ann. She decides neither by a delegate nor as one."""
    ann, bob = await office.person("ann", "pay"), await office.person("bob")
    zoe = await office.person("zoe", "pay")
    charter = Charter(("team:pay",), no_self_approval=True)
    await office.delegate(ann, "bob")
    await office.delegate(zoe, "ann")
    ticket = await office.held(charter)
    assert not await office.approves(ticket, bob)
    assert not await office.approves(ticket, ann)
    await office.delegate(zoe, "bob")
    assert await office.approves(ticket, bob)


async def test_it_ends_at_its_time_when_it_is_ended_and_with_the_key(office: Office, ledger: Ledger) -> None:
    zoe, bob = await office.person("zoe", "pay"), await office.person("bob")
    ticket = await office.held(PAY)
    late = await office.delegate(zoe, "bob", hours=0.05)
    office.clock.advance(181)
    assert not await office.approves(ticket, bob)
    assert not await office.delegations.end(late, by="zoe", now=office.clock.now())
    again = await office.delegate(zoe, "bob")
    assert await office.delegations.end(again, by="zoe", now=office.clock.now())
    assert not await office.delegations.end(again, by="zoe", now=office.clock.now())
    assert not await office.approves(ticket, bob)
    await office.delegate(zoe, "bob")
    await office.keys.revoke(office.key_of["zoe"], actor="test")
    assert not await office.approves(ticket, bob)
    assert ledger.tags().count(Tag.DELEGATION_ENDED) == 1


async def test_it_is_for_the_tickets_that_the_giver_may_see(office: Office) -> None:
    other = await office.person("zoe", "pay", tenant="umbrella")
    admin = await office.person("eve", "pay", KeyRole.ADMIN, tenant="umbrella")
    bob = await office.person("bob", role=KeyRole.ADMIN)
    ticket = await office.held(PAY)
    await office.delegate(other, "bob", tenant="umbrella")
    assert not await office.approves(ticket, bob)
    await office.delegate(admin, "bob", tenant="")
    assert await office.approves(ticket, bob)


async def test_who_may_decide_by_themselves_does_so_in_their_own_name(office: Office) -> None:
    zoe, bob = await office.person("zoe", "pay"), await office.person("bob", "pay")
    await office.delegate(zoe, "bob")
    ticket = await office.held(PAY)
    assert await office.approves(ticket, bob)
    assert (await found(office, ticket)).decided_by == bob.name


@pytest.mark.parametrize(
    ("to", "hours", "reason", "said"),
    [
        ("bob", 0, "away", "must end between now and"),
        ("bob", 91 * 24, "away", "must end between now and"),
        ("bob", 1, "", "say why"),
        ("ZOE", 1, "away", "cannot decide in your own place"),
        ("nobody", 1, "away", "is no user of a key"),
        ("agent", 1, "away", "is no user of a key"),
    ],
)
async def test_what_cannot_be_delegated_is_told(
    office: Office, ledger: Ledger, to: str, hours: float, reason: str, said: str
) -> None:
    zoe = await office.person("zoe", "pay")
    await office.person("bob")
    await office.person("agent", role=KeyRole.AGENT)
    now = office.clock.now()
    with pytest.raises(DelegationError, match=said):
        await office.delegations.give(
            zoe, "key", "acme", to=to, reason=reason, until=now + timedelta(hours=hours), now=now
        )
    assert Tag.DELEGATION_GIVEN not in ledger.tags()


async def test_a_list_is_of_one_tenant(office: Office) -> None:
    zoe = await office.person("zoe", "pay")
    await office.person("bob")
    made = await office.delegate(zoe, "bob")
    now = office.clock.now()
    assert [one.id for one in await office.delegations.listed(now, tenant="acme")] == [made.id]
    assert await office.delegations.listed(now, tenant="umbrella") == []
    assert await office.delegations.people(now) == ["bob", "zoe"]
