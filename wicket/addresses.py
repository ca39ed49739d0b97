"""Where people and agents reach what runs."""

from dataclasses import dataclass

from governance.config.models import Config, Listen


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports given on the command line in place of the configured ones; `None` = as configured."""

    gateway: int | None = None
    mcp: int | None = None

    def applied(self, config: Config) -> Config:
        """`config` with these ports, so that links lead to where the processes really are."""
        return config.model_copy(
            update={"gateway": _moved(config.gateway, self.gateway), "mcp": _moved(config.mcp, self.mcp)}
        )

    def arguments(self) -> list[str]:
        """The same as arguments for a process that is started."""
        given = (("--gateway-port", self.gateway), ("--mcp-port", self.mcp))
        return [part for name, port in given if port is not None for part in (name, str(port))]


def address(config: Config, listen: Listen) -> str:
    """The address of a front, by a name that it answers to."""
    host = listen.host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = config.hosts[0]
    elif ":" in host:
        host = f"[{host.strip('[]')}]"
    return f"http://{host}:{listen.port}"


def console_address(config: Config) -> str:
    """The address under which people find the console, without its path."""
    return config.approvals.base_url or address(config, config.gateway)


def _moved(listen: Listen, port: int | None) -> Listen:
    return listen if port is None else listen.model_copy(update={"port": port})
