"""TensorFlow's checkpoints: `<prefix>.index`, a table that names what is in `<prefix>.data-00000-of-0000N`.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/tensor_bundle.proto, and LevelDB's
doc/table_format.md
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Iterator

from checkpoints.formats.verdict import Broken, read_exactly

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
#: Behind each block: how it is compressed, and a checksum.
_TRAILER_BYTES = 5


def data_bytes(file: BinaryIO, size: int) -> dict[int, int]:
    """How many bytes each data file has at least, by its number. Raises Broken."""
    if size < _FOOTER_BYTES:
        raise Broken("it is shorter than the footer of an index")
    footer = read_exactly(file, size - _FOOTER_BYTES, _FOOTER_BYTES)
    if struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise Broken("it does not end as an index of TensorFlow")
    ends: dict[int, int] = {}
    try:
        _, _, at = _handle(footer, 0)
        offset, length, _ = _handle(footer, at)
        for _, value in _entries(_block(file, offset, length)):
            block_at, block_bytes, _ = _handle(value, 0)
            for key, entry in _entries(_block(file, block_at, block_bytes)):
                if key:  # the header has an empty key
                    shard, end = _shard_and_end(entry)
                    ends[shard] = max(ends.get(shard, 0), end)
    except IndexError:
        raise Broken("its index is damaged") from None
    return ends


def _block(file: BinaryIO, offset: int, length: int) -> bytes:
    data = read_exactly(file, offset, length + _TRAILER_BYTES)
    if data[length]:
        raise Broken("its index is compressed")
    return data[:length]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack("<I", block[-4:])
    end = len(block) - 4 * (restarts + 1)
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def _shard_and_end(entry: bytes) -> tuple[int, int]:
    """Of a BundleEntryProto: 3 shard_id, 4 offset, 5 size."""
    numbers = {3: 0, 4: 0, 5: 0}
    at = 0
    while at < len(entry):
        tag, at = _varint(entry, at)
        kind = tag & 7
        if kind == 0:
            numbers[tag >> 3], at = _varint(entry, at)
        elif kind == 2:
            length, at = _varint(entry, at)
            at += length
        else:
            at += 4 if kind == 5 else 8
    return numbers[3], numbers[4] + numbers[5]


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    offset, at = _varint(data, at)
    length, at = _varint(data, at)
    return offset, length, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
