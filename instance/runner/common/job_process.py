"""The process of a job that the runner does itself: a request on stdin, progress and result for the supervisor."""

from __future__ import annotations

import json
import os
import sys

from common import disk
from common.report import Reporter, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping


class JobError(Exception):
    """The job failed: one of the names for it in CONTRACT.md."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


def run(work: Callable[[dict[str, Any], Reporter], Mapping[str, object]], other_name: str) -> int:
    """Does the work of the request on stdin; returns the exit code, 0 or 1.

    other_name: of an error that is no JobError, and no full disk.
    """
    os.umask(0o022)  # so that modes are exactly 0644 and 0755
    # File names are UTF-8, whatever the instance's locale; -I hides PYTHONIOENCODING.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    reporter = Reporter()
    try:
        reporter.report_result(work(json.loads(sys.stdin.buffer.read()), reporter))
        return 0
    except JobError as error:
        failure = error
    except OSError as error:
        name = "DiskFull" if disk.is_full_error(error) else other_name
        path = f" ({os.fsdecode(error.filename)})" if error.filename else ""
        failure = JobError(name, (error.strerror or type(error).__name__) + path)
    except Exception as error:
        import traceback

        traceback.print_tb(error.__traceback__, file=sys.stdout)  # the calls, without values: some of them are URLs
        failure = JobError(other_name, f"Internal error of runctl: {type(error).__name__}")
    log(f"{failure.name}: {failure.message}")
    reporter.report_result({"error": {"name": failure.name, "message": failure.message}})
    return 1
