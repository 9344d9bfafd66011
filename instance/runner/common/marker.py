"""The small JSON files that say what is so on this instance. Written whole or not at all, and never through a link."""

import json
import os
import stat

_MOST = 1 << 20


class Untrusted(Exception):
    """A file or folder of the runner's is not what the runner made: somebody put something else in its place."""


def write(path, value, mode=0o644, durable=True):
    """Puts a JSON file in place by rename. durable: it survives a power cut (two fsyncs). Raises OSError."""
    replace(path, json.dumps(value).encode("ascii"), mode, durable)


def replace(path, data, mode=0o644, durable=True):
    """The same for bytes."""
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


def _write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


def read(path):
    """The JSON object in a file, or None when there is none. Raises Untrusted."""
    try:
        fd = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(os.read(fd, _MOST).decode("utf-8"))
    except ValueError:
        raise Untrusted(f"{path} holds no JSON") from None
    finally:
        os.close(fd)
    if not isinstance(value, dict):
        raise Untrusted(f"{path} holds no JSON object")
    return value


def open_regular(path):
    """A descriptor to read a file of the runner's own: regular, no link, ours. Raises OSError, Untrusted."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    info = os.fstat(fd)
    if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid():
        return fd
    os.close(fd)
    raise Untrusted(f"{path} is not owned by the runner")


def is_locked(path):
    """Whether a process holds the lock that is this file."""
    import fcntl  # a poll of a job that is identified does not need it

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


def exists(path):
    return os.path.lexists(path)


def remove(path):
    """Whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def folder(path, mode=0o755):
    """Makes a folder if it is not there, and checks that it is really ours. Raises Untrusted, OSError.

    mode: one that is there already loses what goes beyond it.
    """
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        pass  # made by an earlier request, or not by us: the look below tells
    info = os.lstat(path)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise Untrusted(f"{path} is not a folder owned by the runner")
    if info.st_mode & 0o777 & ~mode:
        os.chmod(path, info.st_mode & mode)
    return path


def sync_folder(path):
    """Makes renames and new files in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
