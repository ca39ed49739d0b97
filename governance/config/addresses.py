"""What may stand where the configuration names an address."""

import ipaddress
from urllib.parse import SplitResult, urlsplit


def is_loopback(host: str) -> bool:
    """Whether binding `host` leaves a service reachable from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shown(url: str) -> str:
    """An address as it may be shown: its host. A secret may be part of the path as well as of the query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def bad_address(url: str) -> str:
    """What is wrong with an HTTP address, or nothing."""
    try:
        parts: SplitResult = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        return "is not an address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an `http://` or `https://` address"
    if parts.username or parts.password:
        return "must not hold a user name or password"
    return "must not hold `#`" if parts.fragment else ""


def open_address(url: str) -> str:
    """What is wrong with an address over which tokens or keys travel, or nothing: HTTPS, or this very machine."""
    if what := bad_address(url):
        return what
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or is_loopback(parts.hostname or "")
    return "" if is_safe else "must be an `https://` address, because tokens depend on it"
