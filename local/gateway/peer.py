"""Finds the user at the other end of a loopback connection."""

import socket
import sys
from typing import Optional

# As in /proc/net/tcp: the four bytes as a number in this machine's byte order.
LOOPBACK = "%08X" % int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
ESTABLISHED = "01"


def peer_uid(peer_port: int, own_port: int, table: str = "/proc/self/net/tcp") -> Optional[int]:
    """Returns the user who opened the connection from `peer_port`; None if there is no connection.

    A socket that its process has closed has no inode and is listed as root's; it does not count.
    """
    local = "%s:%04X" % (LOOPBACK, peer_port)
    remote = "%s:%04X" % (LOOPBACK, own_port)
    with open(table) as lines:
        for line in lines:
            fields = line.split()
            if fields[1:4] == [local, remote, ESTABLISHED]:
                return int(fields[7]) if fields[9] != "0" else None
    return None
