"""The disks of instances that RunInstances makes, and their copies in images: folders."""

import os
import pwd
import queue
import re
import shutil
import stat
import subprocess
import sys
import threading
import time
from typing import Callable, Dict, Optional

from machine import make_machine

# If root runs the cloud, its jobs may run as other users. The folder above lets nobody else in.
_FOLDER_MODE = 0o755
#: Of a disk: the runner's root, the home of its user, and what stands for the machine.
PARTS = ("root", "home", "system")
# Larger files are data: what has the path of its folder is a script, a configuration or a record.
_MOST_REWRITTEN_BYTES = 1024 * 1024


class Disks:
    """Makes, copies and removes disks: one at a time, in the order in which it was asked to."""

    def __init__(self, instances: str, images: str, packages: str) -> None:
        self._instances = instances
        self._images = images
        self._packages = packages
        self._jobs: "queue.Queue[Callable[[], None]]" = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()

    def folder(self, instance_id: str) -> str:
        return os.path.join(self._instances, instance_id)

    def tags(self, instance_id: str) -> Dict[str, str]:
        """What tells runctl where the disk is, and whose jobs run on it."""
        folder = self.folder(instance_id)
        root, home = os.path.join(folder, "root"), os.path.join(folder, "home")
        return {"runctl:root": root, "runctl:home": home, "runctl:user": pwd.getpwuid(os.getuid()).pw_name}

    def create(self, instance_id: str) -> None:
        folder = self.folder(instance_id)
        _make_folder(folder)
        for part in PARTS:
            _make_folder(os.path.join(folder, part))
        _allow_root(folder)
        make_machine(os.path.join(folder, "system"), instance_id)
        # As keepPackageCaches: the disk is new each time, but only the first install downloads.
        os.makedirs(self._packages, exist_ok=True)
        os.symlink(self._packages, os.path.join(folder, "home", ".cache"))

    def store(self, folder: str, image_id: str) -> None:
        """Copies the disk in a folder into an image."""
        _copy(folder, os.path.join(self._images, image_id))

    def restore(self, image_id: str, origin: str, instance_id: str) -> None:
        """Gives an instance the disk of an image.

        On EC2 its paths are those of the instance that the image was made from, whose folder here is `origin`.
        """
        folder = self.folder(instance_id)
        _copy(os.path.join(self._images, image_id), folder)
        _allow_root(folder)
        _rewrite(folder, origin)

    def remove(self, instance_id: str) -> None:
        shutil.rmtree(self.folder(instance_id), ignore_errors=True)

    def remove_image(self, image_id: str) -> None:
        shutil.rmtree(os.path.join(self._images, image_id), ignore_errors=True)

    def do(self, job: Callable[[], None], after_s: float = 0.0) -> None:
        if after_s == 0:
            self._jobs.put(job)
            return
        timer = threading.Timer(after_s, self._jobs.put, [job])
        timer.daemon = True
        timer.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception as error:
                print("%s disks: %s" % (time.strftime("%FT%TZ", time.gmtime()), error), file=sys.stderr, flush=True)


def _make_folder(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, _FOLDER_MODE)


def _allow_root(folder: str) -> None:
    # As registerInstance: the jobs are the current user's, also where that is root.
    root = os.path.join(folder, "root")
    os.makedirs(root, exist_ok=True)
    with open(os.path.join(root, "allow-root"), "wb"):
        pass


def _copy(source: str, target: str) -> None:
    """With symbolic and hard links, modes and times."""
    _make_folder(target)
    for part in PARTS:
        if os.path.isdir(os.path.join(source, part)):
            words = ["cp", "-a", "--", os.path.join(source, part), os.path.join(target, part)]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode != 0:
                raise OSError("cp: %s" % done.stderr[-500:].decode("utf-8", "replace"))


def _rewrite(folder: str, origin: str) -> None:
    """Replaces the origin's path by this folder's, in links and in small text files. Their times stay."""
    parts = "|".join(PARTS)
    pattern = re.compile(rb"%s(?=/(?:%s)(?![\w.-]))" % (re.escape(os.fsencode(origin)), parts.encode()))

    def rewritten(data: bytes) -> Optional[bytes]:
        changed = pattern.sub(lambda _: os.fsencode(folder), data)
        return None if changed == data else changed

    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                target = rewritten(os.fsencode(os.readlink(path)))
                if target is not None:
                    os.unlink(path)
                    os.symlink(target, os.fsencode(path))
                    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
            elif stat.S_ISREG(info.st_mode) and info.st_size <= _MOST_REWRITTEN_BYTES:
                _rewrite_file(path, info, rewritten)


def _rewrite_file(path: str, info: os.stat_result, rewritten: Callable[[bytes], Optional[bytes]]) -> None:
    with open(path, "rb") as file:
        data = file.read()
    changed = None if b"\0" in data else rewritten(data)
    if changed is None:
        return
    os.chmod(path, 0o600)
    with open(path, "wb") as file:
        file.write(changed)
    os.chmod(path, stat.S_IMODE(info.st_mode))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
