"""Which network addresses a reference may lead to: public ones alone, so that nobody reaches inside through a worker.

The name is resolved once per connection, every address found is judged, and the connection goes to an address that was
judged: a name that answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from packsight.shared.contract.errors import ErrorCode, ImageError
from packsight.shared.contract.references import in_ascii
from packsight.shared.storage import deadline

_Found = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]
"""One answer of getaddrinfo."""

_PORTS = {80, 443}
_NAMELESS = {getattr(socket, name, 0) for name in ("EAI_NONAME", "EAI_NODATA")} - {0} if sys.platform == "linux" else set[int]()
"""What Linux says of names that do not exist or have no address: asking again will not help. Of a resolver that is away it says
something else, as other systems do not."""

# IANA special-purpose registries (RFC 6890 and its updates), multicast, and what embeds an IPv4 address.
_CLOSED_V4 = [
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # the machine-local metadata service of Azure
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
_OPEN_V6 = ipaddress.IPv6Network("2000::/3")
# Teredo and other protocols, examples, 6to4, examples.
_CLOSED_V6 = [ipaddress.IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]


def is_public(address: str) -> bool:
    """Tell whether an address is plain global unicast."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not any(ip in block for block in _CLOSED_V4)
    # Outside 2000::/3 lie loopback, link-local, private, multicast, IPv4-mapped and NAT64 (64:ff9b::) addresses.
    return ip in _OPEN_V6 and ip.is_global and not any(ip in block for block in _CLOSED_V6)


class AddressRule:
    """Public addresses and ports 80 and 443, except for hosts that the operator allows by `name` or `name:port`."""

    def __init__(self, allowed_hosts: Iterable[str], *, resolvers: int = 8) -> None:
        self._allowed = {_bracketed(_in_ascii(host).lower()) for host in allowed_hosts}
        # getaddrinfo knows no timeout, so it is waited for from outside.
        self._resolvers = ThreadPoolExecutor(resolvers, thread_name_prefix="resolve")

    def allows(self, host: str, port: int) -> bool:
        """Tell whether the operator named this very host; then neither port nor address matters."""
        name = _bracketed(host.lower())
        return not self._allowed.isdisjoint({name, f"{name}:{port}"})

    def check_port(self, host: str, port: int) -> None:
        """Raise ImageError REFERENCE_REFUSED for a port that no public web server listens on."""
        if port not in _PORTS and not self.allows(host, port):
            raise ImageError(ErrorCode.REFERENCE_REFUSED, f"{host}:{port}: only the ports 80 and 443 are fetched from")

    def resolve(self, host: str, port: int) -> Sequence[_Found]:
        """Resolve a name once; raises ImageError REFERENCE_REFUSED when any of its addresses is not public."""
        self.check_port(host, port)
        lookup = self._resolvers.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        try:
            left = deadline.remaining()
            found: Sequence[_Found] = lookup.result(None if left == float("inf") else left)
        except TimeoutError:
            lookup.cancel()
            raise ImageError(ErrorCode.FETCH_TIMEOUT, f"{host}: its name was not resolved in time") from None
        except (OSError, UnicodeError) as error:
            if isinstance(error, UnicodeError) or error.errno in _NAMELESS:
                raise ImageError(ErrorCode.HOST_UNREACHABLE, f"{host}: there is no such host", retryable=False) from error
            raise ImageError(ErrorCode.HOST_UNREACHABLE, f"{host}: its name cannot be resolved now") from error
        if not self.allows(host, port):
            for *_, address in found:
                if not is_public(str(address[0])):
                    raise ImageError(ErrorCode.REFERENCE_REFUSED, f"{host} leads to {address[0]}, no public address")
        return found

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to the first address that answers.

        Raises ImageError REFERENCE_REFUSED, HOST_UNREACHABLE or FETCH_TIMEOUT. `timeout` in seconds, for each address.
        """
        last: OSError | None = None
        for family, kind, protocol, _, address in self.resolve(host, port):
            left = deadline.remaining()
            if left <= 0:
                last = TimeoutError()
                break
            # Not socket.create_connection, which would resolve once more.
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(min(timeout, left))
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                connection.close()
                last = error
                continue
            return connection
        if isinstance(last, TimeoutError):
            raise ImageError(ErrorCode.FETCH_TIMEOUT, f"{host}:{port} did not accept a connection in time") from last
        reason = last.strerror if last and last.strerror else "no connection"
        raise ImageError(ErrorCode.HOST_UNREACHABLE, f"{host}:{port}: {reason}") from last

    def close(self) -> None:
        """Let the resolver's threads go."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)


def _in_ascii(host: str) -> str:
    """A host as addresses have it; one that cannot be a host allows nothing."""
    with suppress(UnicodeError):
        return in_ascii(host)
    return host


def _bracketed(host: str) -> str:
    """An IPv6 address in brackets, so that a port behind it cannot be taken for a part of it."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
