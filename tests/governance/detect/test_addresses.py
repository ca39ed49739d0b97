"""Where an address leads, in every form in which resolvers read addresses."""

import pytest

from governance.detect import addresses
from governance.detect.detector import Detector
from governance.exchange import Role, Segment

INSIDE = [
    *("127.0.0.1", "127.1", "0177.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0", "0.0.0.0"),
    *(
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "192.88.99.1",
        "224.0.0.1",
        "255.255.255.255",
    ),
    *(
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fec0::1]",
    ),
    *("[2002:7f00:1::]", "[3fff::1]", "[::127.0.0.1]", "localhost", "LOCALHOST.", "foo.localhost", "printer.local"),
    *(
        "127.0.0.1.nip.io",
        "app.10-0-0-1.sslip.io",
        "7f000001.nip.io",
        "localtest.me",
        "a.lvh.me",
        "host.docker.internal",
    ),
]
METADATA = [
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"),
    *("metadata.google.internal", "metadata.google.internal.", "100.100.100.200", "169.254.169.254.nip.io"),
]
OUTSIDE = [
    *(
        "example.org",
        "8.8.8.8",
        "172.32.0.1",
        "172.15.0.1",
        "100.128.0.1",
        "[2606:4700::1111]",
        "[::ffff:8.8.8.8]",
        "134744072",
    ),
    *("8.8.8.8.nip.io", "localhost.example.org", "mylocalhost.com", "1.2.3.4.5", "256.1.1.1", "local.host.org"),
]


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_that_leads_inside(host: str) -> None:
    assert addresses.classify(host) == "private"


@pytest.mark.parametrize("host", METADATA)
def test_an_address_of_a_metadata_service(host: str) -> None:
    assert addresses.classify(host) == "metadata"


@pytest.mark.parametrize("host", OUTSIDE)
def test_an_address_of_a_public_service(host: str) -> None:
    assert addresses.classify(host) == ""


@pytest.mark.parametrize(
    "url", ["http://{}", "https://{}:8443/a?b", "HTTP://user:pw@{}/x", "ftp://{}#x", "gopher://{}:70/_"]
)
def test_the_host_is_found_in_every_form_of_url(detector: Detector, url: str) -> None:
    for hosts, kinds in ((INSIDE, {"address.private"}), (METADATA, {"address.metadata"}), (OUTSIDE, set[str]())):
        for host in hosts:
            text = f'fetch "{url.format(host)}" now'
            found = detector.scan([Segment("/x", Role.ARGUMENT, text)])
            assert {one.kind for one in found if one.kind.startswith("address.")} == kinds, text


def test_addresses_count_only_in_arguments(detector: Detector) -> None:
    for role in Role:
        found = detector.scan([Segment("/x", role, "http://169.254.169.254/latest")])
        assert bool(found) is (role is Role.ARGUMENT)
