"""Whether one file is complete, by its content; its name decides only where the content does not."""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from typing import BinaryIO, Callable

from checkpoints.formats import pickle_file, tensor_files, text_files, zip_file
from checkpoints.formats.verdict import UNKNOWN, Broken, Verdict

_HEAD_BYTES = 16
_CHUNK_BYTES = 1 << 20
#: No format's header is shorter.
_MIN_BINARY_BYTES = 64
#: Packed: reading on takes a second or two.
_MAX_PACKED_BYTES = 128 << 20
#: What torch writes in front of its older files, which have no end that could be checked.
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_TEXT_SUFFIXES = (".txt", ".yaml", ".yml", ".md", ".cfg", ".toml", ".csv", ".tsv", ".log", ".jsonl", ".py", ".model")


def check(path: str) -> Verdict:
    """Raises OSError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _check(file, size, os.path.basename(path).lower())
        except (Broken, pickle_file.TooLong) as error:
            if isinstance(error, pickle_file.TooLong):
                return UNKNOWN
            return Verdict("damaged", str(error))


def _check(file: BinaryIO, size: int, name: str) -> Verdict:
    head = file.read(_HEAD_BYTES)
    if not head:
        return Verdict("empty", "it is empty")
    if name.endswith(".safetensors"):
        tensor_files.check_safetensors(file, size)
        return Verdict("safetensors", None)
    for magic, check in _BY_MAGIC:
        if head.startswith(magic[: len(head)]):
            return check(file, size)
    if head.startswith(b"\x80") and len(head) > 1 and 2 <= head[1] <= 5:
        return _pickle(file, size, head)
    if head[:1] == b"{":
        return _braces(file, size, name, head)
    if size < _MIN_BINARY_BYTES and not _is_text(head):
        raise Broken("it is too short")
    return UNKNOWN


def _is_text(data: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)


def _zip(file: BinaryIO, size: int) -> Verdict:
    names = {entry.name for entry in zip_file.read_entries(file, size)}
    tops = {name.split("/", 1)[-1] for name in names}
    if "data.pkl" in tops:
        return Verdict("torch", None)
    if {"config.json", "metadata.json"} <= names:
        return Verdict("keras", None)
    return Verdict("zip", None)


def _hdf5(file: BinaryIO, size: int) -> Verdict:
    tensor_files.check_hdf5(file, size)
    return Verdict("hdf5", None)


def _npy(file: BinaryIO, size: int) -> Verdict:
    tensor_files.check_npy(file, size)
    return Verdict("npy", None)


def _lightgbm(file: BinaryIO, size: int) -> Verdict:
    is_whole = text_files.check_lightgbm(file, size)
    return Verdict("lightgbm", None) if is_whole else UNKNOWN


def _packed(make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> Callable[[BinaryIO, int], Verdict]:
    def check(file: BinaryIO, size: int) -> Verdict:
        if size > _MAX_PACKED_BYTES:
            return UNKNOWN
        unpacker = make()
        file.seek(0)
        try:
            while not unpacker.eof:
                chunk = file.read(_CHUNK_BYTES)
                if not chunk:
                    raise Broken("its compressed data does not end")
                unpacker.decompress(chunk)
        except (OSError, lzma.LZMAError):
            raise Broken("its compressed data is damaged") from None
        return Verdict("compressed", None)

    return check


def _zlib(wbits: int) -> Callable[[BinaryIO, int], Verdict]:
    def check(file: BinaryIO, size: int) -> Verdict:
        if size > _MAX_PACKED_BYTES:
            return UNKNOWN
        unpacker = zlib.decompressobj(wbits)
        file.seek(0)
        try:
            while not unpacker.eof:
                chunk = unpacker.unconsumed_tail or file.read(_CHUNK_BYTES)
                if not chunk:
                    raise Broken("its compressed data does not end")
                unpacker.decompress(chunk, _CHUNK_BYTES)
        except zlib.error:
            raise Broken("its compressed data is damaged") from None
        return Verdict("compressed", None)

    return check


def _pickle(file: BinaryIO, size: int, head: bytes) -> Verdict:
    if _OLD_TORCH.startswith(head[2:]) or head[2:].startswith(_OLD_TORCH[: len(head) - 2]):
        return UNKNOWN if size > 64 else Verdict("damaged", "it ends in its header")
    pickle_file.check(file, size)
    return Verdict("pickle", None)


def _braces(file: BinaryIO, size: int, name: str, head: bytes) -> Verdict:
    if name.endswith(".ubj") or (len(head) > 1 and head[1:2] in b"LlIUi$#"):
        text_files.check_ubjson(file, size)
        return Verdict("ubjson", None)
    if name.endswith(_TEXT_SUFFIXES):
        return UNKNOWN
    text_files.check_json(file, size)
    return Verdict("json", None)


_BY_MAGIC: tuple[tuple[bytes, Callable[[BinaryIO, int], Verdict]], ...] = (
    (zip_file.MAGIC, _zip),
    (tensor_files.HDF5_MAGIC, _hdf5),
    (tensor_files.NPY_MAGIC, _npy),
    (text_files.LIGHTGBM_MAGIC, _lightgbm),
    (b"\x1f\x8b\x08", _zlib(31)),
    (b"x\x9c", _zlib(15)),
    (b"x\x01", _zlib(15)),
    (b"x\xda", _zlib(15)),
    (b"x^", _zlib(15)),
    (b"BZh", _packed(bz2.BZ2Decompressor)),
    (b"\xfd7zXZ\x00", _packed(lzma.LZMADecompressor)),
    (b"]\x00\x00", _packed(lzma.LZMADecompressor)),
)
