"""Starts other programs. Apart from the supervisor and jobs/launch.py, nothing else in the runner does.

Always from a list, never through a shell, and always with a stdin, so that no tool waits for a person's input.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import Callable, Collection, Mapping, Sequence

_READ = 65536
_LONGEST_LINE = 65536
_PIPE_GRACE = 2.0


class ProcessFailed(Exception):
    """A program that could not be started, took too long, or ended with a code that was not expected.

    `code` is None when it did not run or timed out; `stdout` and `stderr` are text, as far as they were written.
    """

    def __init__(self, command: Sequence[str], code: int | None, stdout: str, stderr: str, reason: str) -> None:
        self.command = list(command)
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        self.reason = reason
        last = (stderr.strip() or stdout.strip()).splitlines()[-1:]
        super().__init__("{}: {}{}".format(self.command[0], reason, ": " + last[0] if last else ""))


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    allowed: Collection[int] | None = (0,),
) -> tuple[str, str]:
    """Runs a program to its end and returns (stdout, stderr) as text.

    timeout: seconds; None: no limit. allowed: the exit codes that are not a failure; None allows any.
    Raises ProcessFailed.
    """
    try:
        done = subprocess.run(command, input=stdin, env=env, cwd=cwd, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as late:
        reason = f"gave up after {timeout:g} s"
        raise ProcessFailed(command, None, _text(late.stdout), _text(late.stderr), reason) from late
    except (OSError, ValueError) as error:
        raise ProcessFailed(command, None, "", "", f"did not start: {error}") from error
    stdout, stderr = _text(done.stdout), _text(done.stderr)
    if allowed is not None and done.returncode not in allowed:
        raise ProcessFailed(command, done.returncode, stdout, stderr, _ended(done.returncode))
    return stdout, stderr


def follow(
    command: Sequence[str],
    on_line: Callable[[str], object],
    on_tick: Callable[[int], object],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    tick: float = 1.0,
) -> int:
    """Runs a program and passes on its output line by line; returns its exit code (negative: a signal).

    on_line(text): each line of stdout and stderr, in the order written, without its end. A carriage return ends a
    line too: progress bars use it. on_tick(pid): about every `tick` seconds, with or without output. The program stays
    in this process group, so that stopping the job stops it as well.
    Raises ProcessFailed when it cannot start.
    """
    try:
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (OSError, ValueError) as error:
        raise ProcessFailed(command, None, "", "", f"did not start: {error}") from error
    output = process.stdout
    try:
        if output is not None:
            _pump(process, output.fileno(), on_line, on_tick, tick)
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if output is not None:
            output.close()


def _pump(
    process: subprocess.Popen[bytes],
    pipe: int,
    on_line: Callable[[str], object],
    on_tick: Callable[[int], object],
    tick: float,
) -> None:
    """Reads to the end of the output, or until shortly after the program's end: a daemon may keep the pipe open."""
    rest = b""
    next_tick = time.monotonic() + tick
    ended_at = None
    while True:
        now = time.monotonic()
        if now >= next_tick:
            on_tick(process.pid)
            next_tick = now + tick
        if ended_at is None and process.poll() is not None:
            ended_at = now
        if ended_at is not None and now - ended_at > _PIPE_GRACE:
            break
        if not select.select([pipe], [], [], min(max(next_tick - now, 0.0), 0.25))[0]:
            continue
        chunk = os.read(pipe, _READ)
        if not chunk:
            break
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = b""
        for line in lines:
            if line.strip():
                on_line(_text(line))
    if rest.strip():
        on_line(_text(rest))


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _ended(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
