# Runs one request with the program of one SHA-256. Python 3.6 can read this file, so that it can report its version.
# The program runs with the rights of the SSM agent, root. So nothing in the request decides what runs: the digest is
# part of this document, and file and folders belong to root alone. lib/instance/document.ts strips the comments.
import base64
import hashlib
import json
import os
import stat
import sys
import time

SHA256 = "@@SHA256@@"
# Empty: any that the program knows.
VERBS = "@@VERBS@@"
# The program has 100 KB.
LIMIT = 1 << 22
TRIES = 3


# Answers and exits.
def refuse(name: str, message: str) -> None:
    print(json.dumps({"protocol": 1, "ok": False, "error": {"name": name, "message": message}}))
    sys.exit(0)


# Like StrictModes of sshd: every folder up to / belongs to root (or to the user who runs this), and nobody else can
# write to it. In a folder with the sticky bit, such as /tmp, others can add entries, but not rename or remove ours.
def check(path: str, status: os.stat_result) -> None:
    sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_uid not in (0, os.geteuid()):
        refuse("ProgramUntrusted", "%s belongs to uid %d, not to root" % (path, status.st_uid))
    # Not root on a person's machine: umask 002 is usual there, with a group of one's own.
    writers = 0o002 if os.geteuid() else 0o022
    if status.st_mode & writers and not sticky and not stat.S_ISLNK(status.st_mode):
        refuse("ProgramUntrusted", "%s can be written by others: mode %o" % (path, status.st_mode & 0o7777))


# The path as named, which may contain a link that root made, and the path that it resolves to.
def check_folders(folder: str) -> None:
    for path in (folder, os.path.realpath(folder)):
        while True:
            if os.path.lexists(path):
                check(path, os.lstat(path))
            if path == "/":
                break
            path = os.path.dirname(path)


# The URL is a secret. No message contains it, or the text of an error, which may.
def fetch(url: str) -> bytes:
    import urllib.request

    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                data = answer.read(LIMIT)
                if answer.length:
                    raise ConnectionError
                return data
        except Exception as error:
            reason = getattr(error, "reason", error)
            reason = getattr(error, "code", 0) or getattr(reason, "strerror", 0) or type(reason).__name__
        if left:
            time.sleep(1)
    refuse("ProgramFetchFailed", "the program could not be fetched from S3 in %d tries: %s" % (TRIES, reason))
    return b""


def place(folder: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != SHA256:
        refuse("ProgramBroken", "what S3 sent is not the program %s" % SHA256)
    os.makedirs(folder, exist_ok=True)
    check_folders(folder)
    draft = "%s/.%d" % (folder, os.getpid())
    with open(draft, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, folder + "/" + SHA256)


def main() -> int:
    request = json.loads(base64.b64decode(sys.stdin.readline()).decode("utf-8"))
    if VERBS and request["verb"] not in VERBS.split():
        refuse("BadRequest", "this document accepts only " + VERBS)
    if sys.version_info < (3, 8):
        refuse("PythonMissing", "python3 is %d.%d; runctl needs 3.8" % sys.version_info[:2])
    folder = os.path.abspath(request["root"]) + "/programs"
    path = folder + "/" + SHA256
    check_folders(folder)
    if not os.path.lexists(path):
        url = request.pop("program", {}).get("url")
        if not url:
            refuse("ProgramMissing", "there is no program at %s" % path)
        place(folder, fetch(url))
    # Executed from this descriptor, which was hashed, even if the path is replaced meanwhile.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    check(path, os.fstat(fd))
    found = hashlib.sha256(os.read(fd, LIMIT)).hexdigest()
    if found != SHA256:
        refuse("ProgramBroken", "the program at %s has another SHA-256: %s" % (path, found))
    # The program starts processes from this path.
    sys.argv = [path]
    sys.path.insert(0, "/proc/self/fd/%d" % fd)
    from dispatch import answer

    return answer(json.dumps(request))


try:
    sys.exit(main())
except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
    full = getattr(error, "errno", 0) in (28, 122)
    refuse("DiskFull" if full else "RunnerBroken", "the program was not started: %s" % error)
