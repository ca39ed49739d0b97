"""Which network addresses a server may be sent to from inside: only public unicast ones.

Pure, and a table of its own: `ipaddress.is_global` calls multicast, 6to4 relays, NAT64 of loopback and site-local
addresses global. Names are resolved in `transport.py`.
"""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_REFUSED_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_REFUSED_6 = tuple(
    IPv6Network(block)
    for block in (
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


def is_public(address: str) -> bool:
    """Whether a literal address, as a resolver returns it, may be connected to. What cannot be read may not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return _public_4(parsed.ipv4_mapped)
        return parsed.scope_id is None and not any(parsed in block for block in _REFUSED_6)
    return _public_4(parsed)


def _public_4(address: IPv4Address) -> bool:
    return not any(address in block for block in _REFUSED_4)
