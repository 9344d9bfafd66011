"""Unpacks gzip, of any number of members, beside the thread that uses what comes out."""

import os
import queue
import threading
import zlib
from contextlib import contextmanager

from sync.tar import Source, entries, unsafe

READ = 1 << 18
PIECE = 1 << 20
AHEAD = 16  # pieces that are inflated and not used yet: 16 MB at most


def inflate(file):
    """Yields the bytes of a gzip file, of any number of members, in pieces of about 1 MB."""
    member = None
    while True:
        data = file.read(READ)
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
                piece = member.decompress(data, PIECE)
            except zlib.error:
                raise unsafe("The archive is not gzip, is damaged, or is followed by other data") from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            if piece:
                yield piece
    if member is None or not member.eof:
        raise unsafe("The archive is cut off")


@contextmanager
def unpacked(archive):
    """Gives the Source of a gzip file's content, from where the file stands; inflates in a thread, a few pieces ahead.

    zlib lets go of the interpreter's lock, so inflating and writing take two processors.
    """
    pieces = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item):
        while not stop.is_set():
            try:
                return pieces.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work():
        try:
            for piece in inflate(archive):
                put((piece, None))
                if stop.is_set():
                    return
            put((None, None))
        except BaseException as error:  # handed to the reader, which raises it
            put((None, error))

    def read():
        while True:
            piece, error = pieces.get()
            if error is not None:
                raise error
            if piece is None:
                return
            yield piece

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield Source(read())
    finally:
        stop.set()
        thread.join()  # whoever reads the file next finds it at rest


def size_hint(archive):
    """Bytes that gzip says, at its end, it unpacks to: the truth for one member below 4 GiB, else too little."""
    if archive.seek(0, os.SEEK_END) < 18:
        return 0  # shorter than any gzip file
    archive.seek(-4, os.SEEK_END)
    hint = int.from_bytes(archive.read(4), "little")
    archive.seek(0)
    return hint


def expanded_size(archive):
    """Bytes on disk that the archive needs, with a block for each entry; reads it whole."""
    archive.seek(0)
    need = 0
    with unpacked(archive) as source:
        for _, _, length, _ in entries(source):
            need += length + 4096 - length % 4096
            source.skip(length)
    return need
