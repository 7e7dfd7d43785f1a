import ipaddress

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.downloads.addresses import is_allowed


PUBLIC = ["1.1.1.1", "104.16.0.1", "2606:4700::1111", "2a00:1450:4001::8", "::ffff:8.8.8.8"]
PUBLIC += ["64:ff9b::808:808"]
PRIVATE = ["10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "::1"]
PRIVATE += ["fd00::1", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a00:1"]
PRIVATE += ["64:ff9b::7f00:1", "64:ff9b:1::1"]
NEVER = ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0"]
NEVER += ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::", "0.1.2.3"]
NEVER += ["0.0.0.0"]  # noqa: S104 # looked up, not bound
NEVER += ["224.0.0.1", "239.1.1.1", "ff02::1", "240.0.0.1", "255.255.255.255", "192.0.2.1"]
NEVER += ["198.18.0.1", "192.88.99.1", "2001:db8::1", "2001:0:53aa:64c::1", "2002:7f00:1::"]
NEVER += ["::7f00:1", "fec0::1", "100::1", "4000::1", "", "localhost", "1.1.1", "0x7f.1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Public addresses are allowed, also those that IPv6 networks lead to."""
    assert is_allowed(address, allow_private=False)
    assert is_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    """Addresses of this machine and of private networks need the configuration's consent."""
    assert not is_allowed(address, allow_private=False)
    assert is_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    """Link-local, reserved, documentation and multicast addresses are never allowed."""
    assert not is_allowed(address, allow_private=False)
    assert not is_allowed(address, allow_private=True)


@given(st.ip_addresses(v=4))
def test_embedded(address: ipaddress.IPv4Address) -> None:
    """An IPv4 address is judged in the same way in each of its IPv6 forms."""
    for allow_private in (False, True):
        expected = is_allowed(str(address), allow_private=allow_private)
        for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert expected == is_allowed(form, allow_private=allow_private)


@given(st.ip_addresses())
def test_nothing_local_without_consent(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """No address is allowed that Python knows as local."""
    if is_allowed(str(address), allow_private=False):
        is_local = address.is_loopback or address.is_link_local or address.is_unspecified
        assert not is_local
        assert not address.is_multicast
