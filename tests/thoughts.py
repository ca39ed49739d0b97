"""What a check thinks, whether it says so at once or is waited for."""

from governance.stage import Thought
from governance.verdict import Verdict


async def told(thought: Thought) -> Verdict:
    """The verdict."""
    return thought if isinstance(thought, Verdict) else await thought
