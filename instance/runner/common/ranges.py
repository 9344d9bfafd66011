"""Reads ranges of what presigned URLs name, and goes on where a connection broke."""

from __future__ import annotations

import http.client
import random
import threading
from typing import Callable, Iterator

from common.presigned_get import (
    FIRST_WAIT_S,
    MAX_ATTEMPTS,
    PIECE_BYTES,
    Refused,
    RetryableError,
    describe,
    open_url,
)


def read(url: str, start: int, end: int, size: int, take: Callable[[bytes, int], None], stop: threading.Event) -> None:
    """Gives the bytes from `start` to `end` of an object of `size` bytes to `take(bytes, their place)`, in order.

    Ends early when `stop` is set. Raises presigned_get.Refused, and what `take` raises.
    """
    at, failures, wait = start, 0, FIRST_WAIT_S
    while at < end and not stop.is_set():
        begun = at
        try:
            for piece in _pieces(url, at, end, size):
                take(piece, at)
                at += len(piece)
                if stop.is_set():
                    return
        except RetryableError as error:
            if at > begun:
                failures, wait = 0, FIRST_WAIT_S
            failures += 1
            if failures == MAX_ATTEMPTS:
                raise Refused(f"{error}, {failures} times", answered=False) from None
            stop.wait(wait * random.uniform(1, 1.5))  # noqa: S311 (spreads retries, hides nothing)
            wait *= 2


def _pieces(url: str, start: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes of one answer, exactly those. Raises Refused, RetryableError."""
    response = open_url(url, {"Range": f"bytes={start}-{end - 1}"})
    with response:
        left = end - start
        if response.status != 206 or response.headers.get("Content-Range") != f"bytes {start}-{end - 1}/{size}":
            raise RetryableError(f"the server did not answer with the range (status {response.status})")
        if response.length != left:
            raise RetryableError("the server answered with another length")
        while left:
            try:
                piece = response.read1(min(left, PIECE_BYTES))
            except (OSError, http.client.HTTPException) as error:
                raise RetryableError(describe(error)) from None
            if not piece:
                raise RetryableError("the connection ended early")
            yield piece
            left -= len(piece)
