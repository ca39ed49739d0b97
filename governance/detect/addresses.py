"""Addresses in arguments that lead inside: loopback, private networks, the metadata services of clouds.

The host of each URL is read as `getaddrinfo` would read it (decimal, octal, hex, short forms, IPv4 inside IPv6), and
never looked up: what a public name resolves to must be checked by whoever connects.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable

from governance.detect.rule import Rule
from governance.exchange import Role

_NETWORKS_4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_NETWORKS_6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        *("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32"),
        *("2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
        *("ff00::/8",),
    )
)
"""Networks that no public service is in (IANA special-purpose registries); `ipaddress.is_global` misses several."""

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_METADATA_ADDRESSES = frozenset(
    map(
        ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "fd00:ec2::254")
    )
)
_METADATA_NAMES = frozenset(
    ("metadata.google.internal", "metadata.goog", "metadata", "instance-data", "metadata.azure.internal")
)
_INSIDE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp", ".localdomain")
_INSIDE_NAMES = frozenset(
    ("localhost", "localhost6", "ip6-localhost", "ip6-loopback", "host.docker.internal", "kubernetes", "broadcasthost")
)
_MIRROR = re.compile(r"(?:^|[.-])((?:\d{1,3}[.-]){3}\d{1,3}|[0-9a-f]{8})\.(?:nip|sslip|xip)\.io$")
_LOOPBACK_NAMES = re.compile(r"(?:^|\.)(?:localtest\.me|lvh\.me|vcap\.me|lacolhost\.com|localho\.st|yoogle\.com)$")
_NUMBER = re.compile(r"0[xX]([0-9a-fA-F]*)|(0[0-7]*)|([1-9]\d*)")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def read_address(host: str) -> Address | None:
    """The address that a host of digits stands for, in any form that `inet_aton` reads; nothing for a name."""
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host[1:].partition("]")[0].partition("%")[0])
        except ValueError:
            return None
    parts = host.split(".")
    numbers = [_read_number(part) for part in parts]
    if len(parts) > 4 or any(number is None for number in numbers):
        return None
    *heads, last = [number for number in numbers if number is not None]
    room = 256 ** (4 - len(heads))
    if any(head > 255 for head in heads) or last >= room:
        return None
    return ipaddress.IPv4Address(sum(head << (24 - 8 * place) for place, head in enumerate(heads)) + last)


def _read_number(part: str) -> int | None:
    match = _NUMBER.fullmatch(part)
    if match is None or len(part) > 16:
        return None
    if match[1] is not None:
        return int(match[1] or "0", 16)
    return int(match[2], 8) if match[2] is not None else int(match[3])


def is_inside(address: Address) -> bool:
    """Whether an address is not one of a public service."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _MAPPED:
            return is_inside(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return any(address in network for network in _NETWORKS_6)
    return any(address in network for network in _NETWORKS_4)


def classify(host: str) -> str:
    """`metadata`, `private`, or nothing for a host of a URL (without port and user)."""
    host = host.lower().rstrip(".")
    if host in _METADATA_NAMES:
        return "metadata"
    address = read_address(host)
    mirror = _MIRROR.search(host)
    if address is None and mirror:
        dotted = mirror[1].replace("-", ".")
        address = read_address(dotted if "." in dotted else str(int(dotted, 16)))
    if address is not None:
        inner = getattr(address, "ipv4_mapped", None) or address
        if inner in _METADATA_ADDRESSES:
            return "metadata"
        return "private" if is_inside(address) else ""
    inside = host in _INSIDE_NAMES or host.endswith(_INSIDE_ENDINGS) or _LOOPBACK_NAMES.search(host)
    return "private" if inside else ""


def _leads_to(what: str) -> Callable[[str], bool]:
    def check(url: str) -> bool:
        authority = re.split(r"[/?#\\]", url.partition("//")[2], maxsplit=1)[0]
        host = authority.rpartition("@")[2]
        bare = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
        return classify(bare) == what

    return check


def rules() -> Iterable[Rule]:
    """The rules of this family."""
    user = r"(?:[^\x00\s/?#@\x22'<>\\]{0,128}@)?"
    inside = (
        r"(?:\[[0-9a-f:.%\w]{2,64}\]|0x[0-9a-f.x]{1,40}|\d[0-9a-fx.]{0,40}"
        r"|(?:[a-z0-9_-]{1,63}\.){0,8}(?:localhost\w{0,6}|local|internal|lan|arpa|intranet|corp|metadata|goog|kubernetes"
        r"|localdomain|instance-data|broadcasthost|ip6-\w{8,9}|(?:nip|sslip|xip)\.io|(?:localtest|lvh|vcap)\.me"
        r"|lacolhost\.com|localho\.st|yoogle\.com))"
    )
    url = rf"[a-z][a-z0-9+.-]{{1,15}}:/{{2,4}}{user}{inside}\.?(?::\d{{1,5}})?"
    return tuple(
        Rule(
            f"address.{what}",
            f"address.{what}",
            url,
            r"(?<![a-z0-9])",
            r"(?![\w.@-])",
            check=_leads_to(what),
            roles=frozenset((Role.ARGUMENT,)),
            caseless=True,
            phrase=True,
            width=700,
        )
        for what in ("metadata", "private")
    )
