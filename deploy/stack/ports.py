"""Free loopback ports."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection


def free_ports(count: int) -> list[int]:
    """Return ports that were free on loopback a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        return ports


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        # Servers set this too; without it a port whose connections have just been closed would count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def assign(names: list[str], before: dict[str, int], taken: Collection[int] = ()) -> dict[str, int]:
    """Give each name a port of its own: the one it had before if it is still free, else a new one; none of those taken."""
    kept: dict[str, int] = {}
    for name in names:
        port = before.get(name, 0)
        if port and port not in {*taken, *kept.values()} and is_free(port):
            kept[name] = port
    missing = [name for name in names if name not in kept]
    used = {*taken, *kept.values()}
    fresh = (port for port in free_ports(len(missing) + len(used)) if port not in used)
    return kept | dict(zip(missing, fresh, strict=False))
