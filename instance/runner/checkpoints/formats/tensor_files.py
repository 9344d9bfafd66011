"""Files of arrays: safetensors, HDF5 (Keras 2, .weights.h5), numpy's npy."""

from __future__ import annotations

import json
import re
import struct
from typing import BinaryIO

from checkpoints.formats.verdict import MAX_HEADER_BYTES, Broken, read_exactly

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
NPY_MAGIC = b"\x93NUMPY"


def check_safetensors(file: BinaryIO, size: int) -> None:
    """Its header says how many bytes follow. Raises Broken. https://github.com/huggingface/safetensors#format"""
    (length,) = struct.unpack("<Q", read_exactly(file, 0, 8))
    if length > MAX_HEADER_BYTES:
        raise Broken("it has no header of safetensors")
    try:
        header = json.loads(read_exactly(file, 8, length).decode("utf-8"))
        ends = [item["data_offsets"][1] for name, item in header.items() if name != "__metadata__"]
        end = 8 + length + max(ends, default=0)
    except (ValueError, AttributeError, KeyError, IndexError, TypeError):
        raise Broken("its header is not one of safetensors") from None
    if end != size:
        raise Broken(f"it has {size} bytes, and its header names {end}")


def check_hdf5(file: BinaryIO, size: int) -> None:
    """Its superblock has the address of its end. Raises Broken.

    https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html (section II.A)
    """
    version = read_exactly(file, 8, 1)[0]
    if version <= 1:
        width = read_exactly(file, 13, 1)[0]
        base = 24 if version == 0 else 28
    elif version <= 3:
        width, _, flags = read_exactly(file, 9, 3)
        base = 12
        if version == 3 and flags & 1:
            raise Broken("it is marked as open for writing")
    else:
        raise Broken(f"its superblock has the unknown version {version}")
    end = int.from_bytes(read_exactly(file, base + 2 * width, width), "little")
    if end != size:
        raise Broken(f"it has {size} bytes, and its superblock names {end}")


def check_npy(file: BinaryIO, size: int) -> None:
    """Raises Broken. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    major = read_exactly(file, 6, 1)[0]
    wide = 2 if major == 1 else 4
    (length,) = struct.unpack("<H" if wide == 2 else "<I", read_exactly(file, 8, wide))
    text = read_exactly(file, 8 + wide, length).decode("latin-1")
    dtype = re.search(r"'descr': '[<>|=]?([biufcSUVmM])(\d+)", text)
    shape = re.search(r"'shape': \(([\d, ]*)\)", text)
    if not dtype or not shape:
        raise Broken("its header is not one that runctl reads")
    count = int(dtype.group(2)) * (4 if dtype.group(1) == "U" else 1)
    if dtype.group(1) in "mM":
        count = 8
    for number in shape.group(1).replace(" ", "").split(","):
        count *= int(number) if number else 1
    if 8 + wide + length + count != size:
        raise Broken(f"it has {size} bytes, and its header names {8 + wide + length + count}")
