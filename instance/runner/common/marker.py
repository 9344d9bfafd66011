"""Small JSON files with the state of runs and of the instance. Written whole or not at all, never through a link."""

from __future__ import annotations

import errno
import json
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAX_BYTES = 1 << 20


class Untrusted(Exception):
    """A file or folder of the runner's was replaced: it is not what the runner created."""


def write(path: str, value: dict[str, Any], mode: int = 0o644, durable: bool = True) -> None:
    """Writes a JSON file, by rename. durable: it survives a power cut (two fsyncs). Raises OSError."""
    replace(path, json.dumps(value).encode("ascii"), mode, durable)


def replace(path: str, data: bytes, mode: int = 0o644, durable: bool = True) -> None:
    """Writes a file of bytes, as `write` does."""
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{os.getpid()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        _write_all(fd, data)
        os.fchmod(fd, mode)
        if durable:
            os.fsync(fd)
    except OSError:
        os.unlink(draft)
        raise
    finally:
        os.close(fd)
    os.rename(draft, path)
    if durable:
        sync_folder(folder)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def read(path: str) -> dict[str, Any] | None:
    """The JSON object in a file, or None when there is none. Raises Untrusted."""
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(os.read(fd, _MAX_BYTES).decode("utf-8"))
    except ValueError:
        raise Untrusted(f"{path} holds no JSON") from None
    finally:
        os.close(fd)
    if not isinstance(value, dict):
        raise Untrusted(f"{path} holds no JSON object")
    return value


def read_existing(path: str) -> dict[str, Any]:
    """The JSON object in a file that must exist. Raises Untrusted, FileNotFoundError."""
    value = read(path)
    if value is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return value


def open_regular(path: str) -> int:
    """A descriptor to read a regular file that belongs to the runner's user, not a link. Raises OSError, Untrusted."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    info = os.fstat(fd)
    if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid():
        return fd
    os.close(fd)
    raise Untrusted(f"{path} is not owned by the runner")


def is_locked(path: str) -> bool:
    """Whether a process holds a lock on this file."""
    import fcntl  # not needed by a poll of a job that has an identity

    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def exists(path: str) -> bool:
    return os.path.lexists(path)


def remove(path: str) -> bool:
    """Removes a file. Returns whether it existed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def folder(path: str, mode: int = 0o755) -> str:
    """Creates a folder if it is missing, and checks that it is the runner's. Raises Untrusted, OSError.

    mode: an existing folder loses the permissions beyond it.
    """
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass  # created by an earlier request, or not by the runner: checked below
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise Untrusted(f"{path} is not a folder owned by the runner")
    if info.st_mode & 0o777 & ~mode:
        os.chmod(path, info.st_mode & mode)
    return path


def sync_folder(path: str) -> None:
    """Makes renames and new files in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
