"""What the guard acts with, as the runtime puts it together. Nothing is done here."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from approvals.desk import Desk
from approvals.grants.store import SqlGrants
from governance.audit.event import AuditLog
from governance.clock import Clock
from governance.exchange import Exchange, Role
from governance.verdict import Relief
from pipeline.asked import Roll
from pipeline.stages import Stages
from pipeline.strand import Ear
from pipeline.stream import StreamGuard
from pipeline.tally import Tally
from sessions.killswitch import KillSwitch
from sessions.labels.book import Labels


class Sight(Protocol):
    """Who may see what, by the same rules that judge calls."""

    def visible(self, exchange: Exchange) -> bool:
        """Whether a call like this one could ever be allowed."""
        ...


@dataclass(frozen=True)
class Organs:
    """What the guard acts with."""

    stages: Stages
    audit: AuditLog
    desk: Desk
    grants: SqlGrants
    kills: KillSwitch
    clock: Clock
    sight: Sight
    roll: Roll
    labels: Labels
    stream: Callable[[Exchange, Role], StreamGuard]
    """Makes the guard of one stream of text in a role, with the actions that apply to the exchange's tenant."""
    utilization: Callable[[str], int | None] = lambda _exchange_id: None
    """Percent of the fullest budget that an exchange reserved from, where there is one."""
    masked_content: bool = False
    relieve: Callable[[Exchange, Relief], None] = lambda _exchange, _relief: None
    """Takes what a person allowed beyond one call of a loop."""
    ear: Callable[[Role], Ear | None] = lambda _role: None
    """Listens to one stream of text in a role, where anybody should."""
    tally: Tally = field(default_factory=Tally)
