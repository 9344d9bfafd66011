"""Decompresses gzip, of any number of members, in a thread beside the one that uses the output."""

from __future__ import annotations

import os
import queue
import threading
import zlib
from contextlib import contextmanager

from common.tar import Source, read_entries, unsafe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Optional, Tuple

    #: A piece, or the end (None), or the error that ended it.
    Item = Tuple[Optional[bytes], Optional[BaseException]]

READ_BYTES = 1 << 18
PIECE_BYTES = 1 << 20
QUEUE_PIECES = 16  # pieces that are decompressed and not used yet: 16 MB at most


def inflate(file: BinaryIO) -> Iterator[bytes]:
    """Yields the content of a gzip file, of any number of members, in pieces of about 1 MB."""
    member = None
    while True:
        data = file.read(READ_BYTES)
        if not data:
            break
        while data:
            if member is None or member.eof:
                if member is not None:
                    data = data.lstrip(b"\0")  # padding between members, and after the last
                    if not data:
                        break
                member = zlib.decompressobj(wbits=31)
            try:
                piece = member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise unsafe("The archive is not gzip, is damaged, or is followed by other data") from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            if piece:
                yield piece
    if member is None or not member.eof:
        raise unsafe("The archive is cut off")


@contextmanager
def open_unpacked(archive: BinaryIO) -> Iterator[Source]:
    """Gives the Source of a gzip file's content, from the file's position; decompresses a few pieces ahead.

    zlib releases the interpreter's lock, so decompressing and writing use two processors.
    """
    pieces: queue.Queue[Item] = queue.Queue(QUEUE_PIECES)
    stop = threading.Event()

    def put(item: Item) -> None:
        while not stop.is_set():
            try:
                return pieces.put(item, timeout=0.1)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for piece in inflate(archive):
                put((piece, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:  # handed to the consumer, which raises it
            put((None, error))

    def consume() -> Iterator[bytes]:
        while True:
            piece, error = pieces.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield Source(consume())
    finally:
        stop.set()
        thread.join()  # the next reader of the file must be the only one


def read_size_hint(archive: BinaryIO) -> int:
    """The unpacked size that gzip records at the end of the file: exact for one member below 4 GiB, else too small."""
    if archive.seek(0, os.SEEK_END) < 18:
        return 0  # shorter than any gzip file
    archive.seek(-4, os.SEEK_END)
    hint = int.from_bytes(archive.read(4), "little")
    archive.seek(0)
    return hint


def measure_expanded_size(archive: BinaryIO) -> int:
    """Bytes on disk that the archive needs, with a block for each entry; reads it whole."""
    archive.seek(0)
    total = 0
    with open_unpacked(archive) as source:
        for _, _, length, _ in read_entries(source):
            total += length + 4096 - length % 4096
            source.skip(length)
    return total
