"""How MCP servers are, and who is asking."""

from dataclasses import asdict

from console.pages import servers
from console.roles import ROLES, Permission
from console.v1.operation import Call, Operation
from console.v1.shapes import Me, Server, Servers
from governance.identity.keys import EVERY_TENANT


async def list_servers(call: Call) -> Servers:
    """How every configured server is."""
    return Servers(items=[Server.model_validate(asdict(one)) for one in await servers.reports(call.frame)])


async def me(call: Call) -> Me:
    """Whom a key stands for, and what it may do."""
    visitor = call.visitor
    return Me(
        id=visitor.key_id,
        name=visitor.name,
        user=visitor.user,
        role=visitor.role.value,
        tenant=visitor.tenant or EVERY_TENANT,
        team=visitor.team,
        permissions=sorted(ROLES[visitor.role]),
    )


OPERATIONS = (
    Operation("showMe", "GET", "/me", Permission.SELF, "Whom your key stands for, and what it may do", Me, me),
    Operation(
        "listServers", "GET", "/servers", Permission.SERVERS, "How every configured MCP server is", Servers,
        list_servers,
    ),
)  # fmt: skip
