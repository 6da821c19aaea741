"""Work that threads leave for the one thread that owns a thing, e.g. a model in training."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from threading import Condition
from typing import Any, TypeVar

GONE = "the program that draws has ended"

T = TypeVar("T")


class DeskClosed(RuntimeError):
    """The owner is gone, nothing will be done any more."""


@dataclass
class _Job:
    work: Callable[[], Any]
    future: Future


class WorkDesk:
    """Jobs in the order in which they came; one of a name that is waiting already takes the place of that one.

    Args:
        share: of the owner's time that `serve` may take, above 0 up to 1.
    """

    def __init__(self, share: float = 1.0) -> None:
        self.share = share
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._changed = Condition()
        self._closed = False
        self._rests_until = 0.0  # s, monotonic

    def put(self, name: Hashable, work: Callable[[], T]) -> Future[T]:
        """Leave a job under a name. What it replaces is cancelled; raises DeskClosed when nobody is there."""
        job = _Job(work, Future())
        with self._changed:
            if self._closed:
                raise DeskClosed(GONE)
            earlier = self._jobs.get(name)
            self._jobs[name] = job
            self._changed.notify_all()
        if earlier is not None:
            earlier.future.cancel()
        return job.future

    def ask(self, work: Callable[[], T]) -> T:
        """Leave a job and wait for its result, or for the error that it raised."""
        try:
            return self.put(object(), work).result()
        except CancelledError:
            raise DeskClosed(GONE) from None

    def serve(self) -> None:
        """For the owner, between its own steps: do one job, if there is one and its share of time allows."""
        if not self._jobs or time.monotonic() < self._rests_until:
            return
        start = time.monotonic()
        if self._do_next():
            end = time.monotonic()
            self._rests_until = end + (end - start) * (1 / self.share - 1)

    def wait(self, timeout_sec: float) -> bool:
        """For an owner without anything else to do: do the next job, or return after a while. Whether one was done."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed, timeout_sec)
        return self._do_next()

    def close(self) -> None:
        """Refuse all further jobs and cancel those that wait."""
        with self._changed:
            self._closed = True
            left = list(self._jobs.values())
            self._jobs.clear()
            self._changed.notify_all()
        for job in left:
            job.future.cancel()

    def _do_next(self) -> bool:
        with self._changed:
            if not self._jobs:
                return False
            _, job = self._jobs.popitem(last=False)
        if job.future.set_running_or_notify_cancel():
            try:
                job.future.set_result(job.work())
            except Exception as error:  # it belongs to whoever asked, and must not end the owner's own work
                job.future.set_exception(error)
        return True
