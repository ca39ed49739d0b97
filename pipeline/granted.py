"""A held call that a person granted before: looked for where a rule holds, and only there.

What a grant covers is `approvals/grants`; that it is used with the decision is written in `pipeline/passage.py`.
"""

import logging

from approvals.grants.grant import Grant
from governance import jsontree
from governance.store import Work, together
from governance.verdict import Reach
from pipeline.judge import Judgement, question
from pipeline.organs import Organs

log = logging.getLogger(__name__)

SPENT = "what a person had allowed of such calls ended or was used up at this moment: make the call again"


async def granted(organs: Organs, judged: Judgement) -> Grant | None:
    """The grant that lets a held call go, if there is one. One that cannot be read lets nothing go: a person is asked.

    No table is looked at where something holds that nothing can be granted of.
    """
    verdict, exchange = question(judged), judged.exchange
    if not verdict.leaves or any(one.reach is Reach.ONCE for one in verdict.leaves):
        return None
    try:
        digest = jsontree.digest(organs.desk.form(exchange, verdict, verdict.version))
        return await organs.grants.covering(exchange, verdict.leaves, organs.clock.now(), digest)
    except Exception:
        log.exception("grants cannot be read, so a person is asked about exchange %s", exchange.id)
        return None


def using(organs: Organs, grant: Grant | None, within: Work[None] | None) -> Work[None] | None:
    """What is written with a decision, and one use of the grant that it rests on, if it rests on one.

    Raises, when it is done:
        SpentError: the grant has no use left.
    """
    return within if grant is None else together(organs.grants.use(grant, organs.clock.now()), within)
