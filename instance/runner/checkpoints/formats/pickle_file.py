"""Pickles, read by their opcodes: nothing of them is executed. Also joblib's files, which have arrays between opcodes.

https://docs.python.org/3/library/pickletools.html; joblib: numpy_pickle.py, NumpyArrayWrapper
"""

from __future__ import annotations

import pickletools
import re
import time
from typing import IO, Any, BinaryIO, cast

from checkpoints.formats.verdict import Broken, read_exactly

#: Of wall time. A model of millions of small objects takes longer: its format then counts as not known.
_MAX_S = 10.0
_CHECK_EVERY = 10_000
#: Of one value, which is read into memory.
_MAX_VALUE_BYTES = 64 << 20
_ARRAY = "NumpyArrayWrapper"
#: Characters of a numpy type take four bytes.
_TYPE = re.compile(r"^[<>|=]?([?biufcOSUVMm])(\d*)$")
_MARK = object()


class TooLong(Exception):
    """Reading its opcodes takes too long."""


class Thing:
    """What a pickle would make by calling something: never called here."""

    __slots__ = ("made_by", "state")

    def __init__(self, made_by: object) -> None:
        self.made_by = made_by
        self.state: dict[Any, Any] = {}


def check(file: BinaryIO, size: int, at: int = 0) -> list[Thing]:
    """Reads one pickle after another, up to the end of the file. Returns the things with a state.

    Raises Broken, TooLong.
    """
    if at >= size:
        raise Broken("it is empty")
    deadline = time.monotonic() + _MAX_S
    things: list[Thing] = []
    while at < size:
        at = _Machine(file, at, size, deadline, things).run()
    return things


class _Source:
    """A file that hands out no large value."""

    def __init__(self, file: BinaryIO) -> None:
        self.readline, self.tell, self._read = file.readline, file.tell, file.read

    def read(self, count: int) -> bytes:
        if count > _MAX_VALUE_BYTES:
            raise TooLong
        return self._read(count)


class _Machine:
    """Follows the opcodes of one pickle with values that stand for what they would make."""

    def __init__(self, file: BinaryIO, at: int, size: int, deadline: float, things: list[Thing]) -> None:
        self._file, self._size, self._deadline, self._things = file, size, deadline, things
        self._stack: list[Any] = []
        self._memo: dict[object, Any] = {}
        file.seek(at)

    def run(self) -> int:
        """Returns where the pickle ends."""
        try:
            self._follow()
        except (ValueError, IndexError, KeyError, AttributeError, TypeError, OverflowError) as error:
            raise Broken(f"it ends in the middle of its pickle ({type(error).__name__})") from None
        return self._file.tell()

    def _follow(self) -> None:
        # One iterator reads on behind an array too: it keeps no bytes of the file.
        source = cast("IO[bytes]", _Source(self._file))
        for count, (opcode, arg, _) in enumerate(pickletools.genops(source)):
            if count % _CHECK_EVERY == 0 and time.monotonic() > self._deadline:
                raise TooLong
            self._step(opcode.name, arg)

    def _step(self, name: str, arg: object) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _PUSHES:
            stack.append(arg)
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[arg] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[arg])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_SET"):
            stack.append(())
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self._pop(int(name[-1]))))
        elif name in ("TUPLE", "LIST", "FROZENSET"):
            stack.append(tuple(self._pop_to_mark()))
        elif name == "DICT":
            items = self._pop_to_mark()
            stack.append(_fill({}, items))
        elif name == "SETITEM":
            _fill(stack[-3], self._pop(2))
        elif name == "SETITEMS":
            items = self._pop_to_mark()
            _fill(stack[-1], items)
        elif name == "APPEND":
            self._pop(1)
        elif name in ("APPENDS", "ADDITEMS", "POP_MARK"):
            self._pop_to_mark()
        elif name == "POP":
            self._pop(1)
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(Thing(arg if name == "GLOBAL" else " ".join(map(str, self._pop(2)))))
        elif name in ("REDUCE", "NEWOBJ"):
            stack.append(Thing(tuple(self._pop(2))))
        elif name == "NEWOBJ_EX":
            stack.append(Thing(tuple(self._pop(3))))
        elif name in ("INST", "OBJ"):
            stack.append(Thing((arg, *self._pop_to_mark())))
        elif name == "BINPERSID":
            self._pop(1)
            stack.append(None)
        elif name == "BUILD":
            self._build(self._pop(1)[0])

    def _build(self, state: object) -> None:
        thing = self._stack[-1]
        if not isinstance(thing, Thing) or not isinstance(state, dict):
            if isinstance(thing, Thing):
                thing.state = {"": state}
            return
        thing.state = state
        self._things.append(thing)
        if "shape" in state and "dtype" in state and _ARRAY in _maker(thing):
            self._skip_array(state)

    def _skip_array(self, state: dict[Any, Any]) -> None:
        """joblib writes the bytes of an array behind the opcode that completes its wrapper."""
        at = self._file.tell()
        count = 1
        for number in state["shape"]:
            count *= int(number)
        width = _item_bytes(state["dtype"])
        if width is None:  # of objects: a pickle of its own
            at = _Machine(self._file, at, self._size, self._deadline, self._things).run()
        elif state.get("numpy_array_alignment_bytes") is not None:
            at += 1 + read_exactly(self._file, at, 1)[0] + count * width
        else:
            at += count * width
        if at > self._size:
            raise Broken("it ends in the middle of an array")
        self._file.seek(at)

    def _pop(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError
        del self._stack[-count:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items


def _fill(target: object, items: list[Any]) -> object:
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2]):
            if isinstance(key, (str, int)):
                target[key] = value
    return target


def _maker(thing: Thing) -> str:
    """The name of what would make it."""
    maker = thing.made_by
    while isinstance(maker, (tuple, Thing)):
        maker = maker.made_by if isinstance(maker, Thing) else (maker[0] if maker else "")
    return str(maker)


def _item_bytes(dtype: object) -> int | None:
    """Bytes of one item of a numpy type, pickled as a call of numpy.dtype with 'f8' or the like. None: objects."""
    if not isinstance(dtype, Thing) or not isinstance(dtype.made_by, tuple):
        raise Broken("it has an array of an unknown type")
    _, arguments = dtype.made_by[:2]
    found = _TYPE.match(str(arguments[0])) if arguments else None
    if found is None:
        raise Broken("it has an array of an unknown type")
    kind, digits = found.groups()
    if kind == "O":
        return None
    if kind in "Mm":
        return 8
    return int(digits or 1) * (4 if kind == "U" else 1)


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "NEXT_BUFFER": None, "PERSID": None}
_PUSHES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "EXT1", "EXT2", "EXT4"),
    )
)
