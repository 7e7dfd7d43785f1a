"""Which addresses downloads may come from."""

import ipaddress


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# An IPv6 network that leads to IPv4 addresses, which are the last four bytes (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_BYTES = 0xFFFFFFFF
# Unique local addresses, and those of NAT64 within a site (RFC 8215).
_PRIVATE_IPV6 = (ipaddress.IPv6Network("fc00::/7"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
_PRIVATE_IPV4 = (
    ipaddress.IPv4Network("10.0.0.0/8"),
    ipaddress.IPv4Network("172.16.0.0/12"),
    ipaddress.IPv4Network("192.168.0.0/16"),
    _SHARED,
)
# Relays to other addresses: no storage is there.
_RELAYS = (
    ipaddress.IPv6Network("2001::/32"),
    ipaddress.IPv6Network("2002::/16"),
    ipaddress.IPv4Network("192.88.99.0/24"),
)


def is_allowed(text: str, *, allow_private: bool) -> bool:
    """
    Return whether a connection to this address may be made.

    Public addresses are allowed, and with *allow_private* those of private networks and of this
    machine. Link-local addresses never are: clouds offer credentials there.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        address = _embedded(address) or address
    return _is_public(address) or (allow_private and _is_private(address))


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & _IPV4_BYTES) if address in _NAT64 else None


def _is_public(address: _Address) -> bool:
    if address.is_multicast or any(address in network for network in _RELAYS):
        return False
    is_unicast = isinstance(address, ipaddress.IPv4Address) or address in _GLOBAL_UNICAST
    return is_unicast and address.is_global


def _is_private(address: _Address) -> bool:
    networks = _PRIVATE_IPV4 if isinstance(address, ipaddress.IPv4Address) else _PRIVATE_IPV6
    return address.is_loopback or any(address in network for network in networks)
