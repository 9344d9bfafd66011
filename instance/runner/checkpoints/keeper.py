"""The keeper: a process beside the supervisor of a training that sends the training's checkpoints to S3.

A poll starts it, and another one when it was killed. It reads files of the user in processes that have become the user.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

from checkpoints import helper, job, judge, spot, units, upload
from common import accounts, child, disk, keeper_files, listing, marker, paths, processes

_LOOK_S = 5.0
_TICK_S = 0.5
#: A process that looks and does not come back hangs in a read.
_MAX_LOOK_S = 120.0
#: The rest of the project is searched so seldom that this takes a part of one core that small.
_SEARCH_SHARE = 0.002
_MAX_SEARCH_INTERVAL_S = 600.0
#: A checkpoint that is broken for so long is reported.
_DAMAGED_S = 300.0
_MAX_WARNINGS = 5
_MAX_REPORTED = 8
_MAX_NAME = 200
_REBALANCE = "EC2 recommends to move to another instance: this one has an elevated risk of being interrupted"
#: So often is a unit tried.
_MAX_ATTEMPTS = 3


def main(job_folder: str) -> int:
    """The process `keep`. Returns 0; also when another keeper works."""
    if not keeper_files.begin(job_folder):
        return 0
    with contextlib.suppress(OSError):
        os.nice(10)  # the training comes first
    work = marker.read(keeper_files.path(job_folder, keeper_files.INPUT))
    own = processes.existing(os.getpid())
    identity = {"pid": own.pid, "startTime": own.start, "bootId": processes.boot_id()}
    marker.write(keeper_files.path(job_folder, paths.IDENTITY), identity, durable=False)
    if work is not None:
        Keeper(job_folder, work).run()
    return 0


class Keeper:
    def __init__(self, job_folder: str, work: dict[str, Any]) -> None:
        self._folder, self._work = job_folder, work
        account = accounts.Account(**work["account"])
        self._account = None if account.uid == os.geteuid() else account
        self._listing = listing.read(job_folder)
        state = self._read(keeper_files.STATE) or {}
        # The latter, when a full disk took no newer state: a number that was reported is never another checkpoint's.
        reported = (self._read(keeper_files.REPORT) or {"units": []})["units"]
        after_reported = [unit["seq"] + 1 for unit in reported]
        self._next: int = max([state.get("next", work["checkpoints"]["firstSeq"]), *after_reported])
        #: Sent, and not committed as far as this process knows.
        self._units: list[dict[str, Any]] = state.get("units", [])
        #: When the last unit of a series was sent: modified, in ns.
        self._newest: dict[str, int] = state.get("newest", {})
        self._attempts: dict[str, int] = {}
        self._warnings: list[str] = state.get("warnings", [])
        self._tracker = judge.Tracker(state.get("done", {}))
        self._uploader: int | None = None
        self._task: dict[str, Any] | None = None
        self._search_at = self._search_interval = 0.0
        self._overtaken = False
        #: How long it took to send the last unit.
        self._sending_s = self._sending_since = 0.0
        self._reported: dict[str, Any] = {}

    def run(self) -> None:
        """Works until the training has ended and its last checkpoints were sent, or for DRAIN_S after its end."""
        self._continue_upload()
        watcher = spot.Watcher(self._folder)
        look_at, ended_at = 0.0, None
        while job.is_wanted(self._folder):
            now = time.monotonic()
            if ended_at is None and job.is_over(self._folder):
                ended_at, look_at = now, 0.0
                watcher.end()
            self._collect_result()
            is_over = ended_at is not None
            if now >= look_at:
                self._look(is_over)
                look_at = time.monotonic() + (0.5 if is_over else _LOOK_S)
            if self._uploader is None:
                self._begin_next(is_over)
            if ended_at is not None:
                has_more = self._uploader is not None or (self._tracker.is_pending() and now - ended_at < 2 * _LOOK_S)
                if not has_more or now - ended_at > keeper_files.DRAIN_S:
                    break
            self._forget_committed()
            self._report("watching" if ended_at is None else "draining")
            time.sleep(_TICK_S)
        if self._uploader is not None and self._task is not None:
            self._warn("the checkpoint {} was not sent: the run has ended".format(self._task["name"]))
        self._kill_uploader()
        watcher.end()
        self._report("done")

    def _look(self, is_over: bool) -> None:
        """One look at the checkpoints, as the user."""
        now = time.monotonic()
        everywhere = now >= self._search_at or is_over
        quiet = 0.0 if is_over else judge.QUIET_S
        expected = self._tracker.expected(now, quiet)
        project, folder = self._work["project"], self._work["checkpoints"]["folder"]
        try:
            looked = child.run(
                lambda: judge.look(project, self._listing, folder, everywhere, expected), self._account, _MAX_LOOK_S
            )
        except (OSError, RuntimeError) as error:
            disk.complain(f"looking for checkpoints: {error}")
            return
        if everywhere:
            self._search_interval = min(max(_LOOK_S, looked["seconds"] / _SEARCH_SHARE), _MAX_SEARCH_INTERVAL_S)
            self._search_at = now + self._search_interval
        self._tracker.see(looked["units"], now, everywhere)
        if everywhere:
            self._tracker.forget_gone()
        for text in looked["warnings"]:
            self._warn(text)
        for name, why in self._tracker.damaged(now, _DAMAGED_S).items():
            self._warn(f"{name[:_MAX_NAME]} is not a complete checkpoint and is not sent: {why}")

    def _begin_next(self, is_over: bool) -> None:
        """Sends the newest complete unit that is newer than all of its series that were sent."""
        grant = keeper_files.read_grant(self._folder)
        if grant is None:
            return
        self._next = max(self._next, grant["committed"] + 1)
        complete = self._tracker.complete(time.monotonic(), 0.0 if is_over else judge.QUIET_S)
        chosen: dict[str, dict[str, Any]] = {}
        for item in complete:  # the newest first
            series = units.series(item["name"])
            newest = self._newest.get(series)
            if series in chosen or (newest is not None and item["modified"] <= newest):
                self._set_done(item)
                if series in chosen and not self._overtaken and self._is_slow(item, chosen[series]):
                    self._overtaken = True
                    self._warn("checkpoints are saved faster than they are sent: the newest is sent, others are not")
            elif is_over or newest is None or item["modified"] - newest >= self._work["checkpoints"]["every"] * 1e9:
                chosen[series] = item
        if not chosen:
            return
        # The oldest of those first: each series gets its turn. When the instance goes away, the newest may be the last.
        pick = min if spot.notice(self._folder) is None else max
        item = pick(chosen.values(), key=lambda one: one["modified"])
        task = {name: item[name] for name in ("name", "signature", "digest", "format", "marked", "modified")}
        task.update(seq=self._next, completeSince=time.time(), sent={}, result=None)
        self._next += 1
        self._save()
        self._write(keeper_files.UPLOAD, task)
        self._start_uploader(task)

    def _is_slow(self, older: dict[str, Any], newer: dict[str, Any]) -> bool:
        """Whether sending one takes longer than the training takes to save the next, and than a look."""
        return self._sending_s > max(_LOOK_S, (newer["modified"] - older["modified"]) / 1e9)

    def _start_uploader(self, task: dict[str, Any]) -> None:
        self._task = task
        self._sending_since = time.monotonic()
        self._uploader = helper.start(lambda: upload.run(self._folder, self._work, task), "sending a checkpoint")

    def _continue_upload(self) -> None:
        """Goes on with what another keeper was sending when it was killed."""
        task = self._read(keeper_files.UPLOAD)
        if task is None or any(unit["seq"] == task["seq"] for unit in self._units):
            return
        self._next = max(self._next, task["seq"] + 1)
        if task["result"] is None:
            self._start_uploader(task)
        else:
            self._task = task
            self._take_result(task)

    def _collect_result(self) -> None:
        if self._uploader is None or self._task is None:
            return
        pid, _ = os.waitpid(self._uploader, os.WNOHANG)
        if pid == 0:
            return
        self._uploader = None
        self._sending_s = time.monotonic() - self._sending_since
        self._take_result(self._read(keeper_files.UPLOAD) or self._task)

    def _take_result(self, task: dict[str, Any]) -> None:
        result, name = task["result"], task["name"]
        self._task = None
        if result is not None and "unit" in result:
            self._units.append(dict(result["unit"], name=name[:_MAX_NAME]))
            series = units.series(name)
            self._newest[series] = max(self._newest.get(series, 0), task["modified"])
            self._set_done(task)
        else:
            self._attempts[name] = self._attempts.get(name, 0) + 1
            failed = result["failed"] if result else "the process that sent it died"
            if self._attempts[name] >= _MAX_ATTEMPTS and not (result and result["changed"]):
                self._set_done(task)
            disk.complain(f"{name}: {failed}")
            if result is None or not result["changed"]:
                self._warn(f"the checkpoint {name[:_MAX_NAME]} was not sent: {failed}")
        marker.remove(keeper_files.path(self._folder, keeper_files.UPLOAD))
        self._save()

    def _set_done(self, item: dict[str, Any]) -> None:
        self._tracker.done[item["name"]] = item["digest"]

    def _forget_committed(self) -> None:
        """Drops the units that the function has committed, as its latest poll says."""
        grant = keeper_files.read_grant(self._folder)
        committed = grant["committed"] if grant else 0
        kept = [unit for unit in self._units if unit["seq"] > committed]
        if len(kept) < len(self._units):
            self._units = kept
            self._save()

    def _save(self) -> None:
        state = {
            "next": self._next,
            "units": self._units,
            "newest": self._newest,
            "done": self._tracker.done,
            "warnings": self._warnings,
        }
        self._write(keeper_files.STATE, state)

    def _report(self, state: str) -> None:
        """Writes what the next poll answers, when it has changed."""
        if spot.is_rebalance_recommended(self._folder):
            self._warn(_REBALANCE)
        task = self._task
        uploading = None
        if task is not None:
            uploading = {
                "name": task["name"][:_MAX_NAME],
                "bytes": sum(file[1] for file in task["signature"]),
                "since": task["completeSince"],
            }
        report = {
            "state": state,
            "units": self._units[:_MAX_REPORTED],
            "uploading": uploading,
            "pending": self._tracker.is_pending(),
            "warnings": list(self._warnings),
            "notice": spot.notice(self._folder),
        }
        if report != self._reported:
            self._write(keeper_files.REPORT, report, durable=False)
            self._reported = report

    def _warn(self, text: str) -> None:
        if text not in self._warnings and len(self._warnings) < _MAX_WARNINGS:
            self._warnings.append("".join(char if char.isprintable() else "?" for char in text)[:300])

    def _kill_uploader(self) -> None:
        if self._uploader is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._uploader, signal.SIGKILL)
            os.waitpid(self._uploader, 0)

    def _read(self, name: str) -> dict[str, Any] | None:
        return marker.read(keeper_files.path(self._folder, name))

    def _write(self, name: str, value: dict[str, Any], durable: bool = True) -> None:
        try:
            marker.write(keeper_files.path(self._folder, name), value, mode=0o600, durable=durable)
        except OSError as error:
            disk.complain(f"writing {name}: {error}")  # A full disk: then a checkpoint may be sent twice.
