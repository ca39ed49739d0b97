"""What a row of `tests/requirements.py` is made of."""

from typing import NamedTuple


class Shown(NamedTuple):
    """A capability, in a few words, and the tests that show it."""

    what: str
    tests: tuple[str, ...]


STORY = "tests/e2e/test_story.py::"
GRANTED = "tests/pipeline/test_granted.py::"
AMENDED = "tests/pipeline/test_amended.py::"
QUORUM = "tests/approvals/test_quorum.py::"
APPROVAL = "tests/e2e/test_approval.py::"
KILL = "tests/e2e/test_kill.py::"
BRIDGE = "tests/mcp_proxy/bridge/test_server.py::"
QUESTIONS = "tests/mcp_proxy/test_server_requests.py::"
TAMPER = "tests/e2e/test_tampering.py::"
CLIENTS = "tests/e2e/test_approval_clients.py::"
LABELS = "tests/e2e/test_labels.py::"
LOOPS = "tests/sessions/test_loop_suite.py::"
GOVERNED_LOOPS = "tests/mcp_proxy/test_governed_loops.py::"
LADDER = "tests/mcp_proxy/test_ladder.py::"
UP = "tests/wicket/test_up.py::"
RESOURCE = "tests/mcp_proxy/test_protected_resource.py::"
EXCHANGE = "tests/mcp_proxy/credentials/test_exchange.py::"
PINS = "tests/mcp_proxy/test_pinning.py::"
SCHEMAS = "tests/mcp_proxy/test_governed_schemas.py::"
SERVERS = "tests/e2e/test_servers.py::"
METRICS = "tests/wicket/test_metrics.py::"
REPLAYS = "tests/e2e/test_policy_replay.py::"
VERSIONS = "tests/e2e/test_policy_versions.py::"
JOINT = "tests/mcp_proxy/test_aggregate_relay.py::"
API = "tests/console/v1/test_api.py::"
ROLES = "tests/console/test_roles.py::"
