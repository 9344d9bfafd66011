"""Keeps a job from the instance metadata service, and so from the credentials of the instance's role.

Programs for cgroups (BPF) do it, attached to the job's own cgroup: nothing has to be installed, the supervisor and the
SSM agent still reach the service, and the programs stay until the cgroup is removed, whoever dies. Packets are dropped,
by whatever socket they are sent; connect(2) fails at once with EPERM, so that no SDK waits for an answer.

Numbers and structures: linux/bpf.h (https://docs.kernel.org/userspace-api/ebpf/). The kernel has had all of it since
4.17; it takes cgroup version 2 and root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

ADDRESSES = ("169.254.169.254", "fd00:ec2::254")

#: Numbers of the system call bpf(2) on the machines that EC2 has.
_SYSCALL = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_SKB, _CGROUP_SOCK_ADDR = 8, 18
_INET_EGRESS, _INET4_CONNECT, _INET6_CONNECT = 1, 10, 11
_ALLOW_MULTI = 2
_SKB_LOAD_BYTES = 26
#: Offsets: of the protocol in struct __sk_buff; of the addresses in struct bpf_sock_addr, and in the headers of IP.
_SKB_PROTOCOL, _USER_IP4, _USER_IP6, _IP4_DESTINATION, _IP6_DESTINATION = 16, 4, 8, 16, 24
_ETH_IP4, _ETH_IP6 = 0x0800, 0x86DD
_LOAD_ATTR = struct.Struct("=IIQQIIQII16sII")
_ATTACH_ATTR = struct.Struct("=IIII")
#: Registers: r0 the result, r1 to r5 the arguments of a call, r6 the context, r10 the end of the stack.
_DROP, _PASS = 0, 1


def block(cgroup: str) -> None:
    """Blocks the service for all processes of a cgroup, a folder. Raises OSError where that is not supported."""
    version4, version6 = (_network_bytes(address) for address in ADDRESSES)
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _attach(fd, _CGROUP_SKB, _INET_EGRESS, _egress(version4, version6))
        _attach(fd, _CGROUP_SOCK_ADDR, _INET4_CONNECT, _context() + _compare(6, _USER_IP4, version4))
        _attach(fd, _CGROUP_SOCK_ADDR, _INET6_CONNECT, _context() + _compare(6, _USER_IP6, version6))
    finally:
        os.close(fd)


def _network_bytes(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _egress(version4: bytes, version6: bytes) -> list[bytes]:
    """Drops a packet to one of the addresses."""
    for_version4 = _load_bytes(_IP4_DESTINATION, len(version4)) + _compare(10, -16, version4)
    for_version6 = _load_bytes(_IP6_DESTINATION, len(version6)) + _compare(10, -16, version6)
    return [
        *_context(),
        _instruction(0x61, 0, 6, _SKB_PROTOCOL),  # r0 = protocol, in network byte order
        _instruction(0x15, 0, 0, 3, socket.htons(_ETH_IP4)),  # if r0 == IPv4: skip 3
        _instruction(0x15, 0, 0, 2 + len(for_version4), socket.htons(_ETH_IP6)),
        *_exit(_PASS),
        *for_version4,
        *for_version6,
    ]


def _context() -> list[bytes]:
    return [_instruction(0xBF, 6, 1)]  # r6 = r1


def _load_bytes(offset: int, size: int) -> list[bytes]:
    """Copies bytes of the packet to r10 - 16; passes a packet that is shorter."""
    return [
        _instruction(0xBF, 1, 6),  # r1 = r6
        _instruction(0xB7, 2, 0, 0, offset),  # r2 = offset
        _instruction(0xBF, 3, 10),  # r3 = r10
        _instruction(0x07, 3, 0, 0, -16),  # r3 += -16
        _instruction(0xB7, 4, 0, 0, size),  # r4 = size
        _instruction(0x85, 0, 0, 0, _SKB_LOAD_BYTES),  # r0 = call
        _instruction(0x15, 0, 0, 2, 0),  # if r0 == 0: skip 2
        *_exit(_PASS),
    ]


def _compare(base: int, start: int, address: bytes) -> list[bytes]:
    """Drops when the bytes at register `base` + `start` are the address, else passes."""
    words = struct.unpack(f"={len(address) // 4}i", address)
    instructions = []
    for index, word in enumerate(words):
        left = (len(words) - index - 1) * 3
        instructions += [
            _instruction(0x61, 0, base, start + 4 * index),  # r0 = the word
            _instruction(0xB4, 2, 0, 0, word),  # w2 = the address's word
            _instruction(0x5D, 0, 2, left + 2),  # if r0 != r2: skip the other words and the drop
        ]
    return [*instructions, *_exit(_DROP), *_exit(_PASS)]


def _exit(result: int) -> list[bytes]:
    return [_instruction(0xB7, 0, 0, 0, result), _instruction(0x95)]


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, target | source << 4, offset, value)


def _attach(cgroup: int, kind: int, where: int, instructions: list[bytes]) -> None:
    code = ctypes.create_string_buffer(b"".join(instructions))
    license = ctypes.create_string_buffer(b"Apache-2.0")
    pointers = ctypes.addressof(code), ctypes.addressof(license)
    program = _bpf(_PROG_LOAD, _LOAD_ATTR.pack(kind, len(instructions), *pointers, 0, 0, 0, 0, 0, b"runctl", 0, where))
    try:
        _bpf(_PROG_ATTACH, _ATTACH_ATTR.pack(cgroup, program, where, _ALLOW_MULTI))
    finally:
        os.close(program)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSCALL.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) is not known on {os.uname().machine}")
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(command), attributes, ctypes.c_ulong(len(attributes)))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf: {os.strerror(ctypes.get_errno())}")
    return result
