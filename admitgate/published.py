"""A folder of status files that other programs serve while they are rewritten.

Whoever reads sees a whole answer, the last or the next: a file is written beside its place and then moved
there. A file is ours if it holds the status of the event that its name stands for, and no other is touched,
so the folder may be one that a web server shares.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import AdmitgateError
from .rules import event_slug

_largest = 65_536
_readable_by_all = 0o644


class NotOurs(AdmitgateError):
    """Somebody else's file stands where an event's status should go."""


class Published:
    """The folder, while this process is the one that writes to it. Its last files stay when it is closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._beside = path / f".admitgate-{os.getpid()}"  # a slug never starts with a dot
        self._bodies: dict[str, bytes] = {}
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            self._lock()
            self._try_to_write()
        except OSError as error:
            raise AdmitgateError(f"{path} can't be written to: {error.strerror}.") from error

    def close(self) -> None:
        """Let another process write to the folder."""
        os.close(self._folder)

    def events(self) -> Iterator[str]:
        """The events that have a file of ours, whoever of us wrote it."""
        for name in os.listdir(self.path):
            document = self.read(name)
            if document is not None:
                yield document["event"]

    def read(self, slug: str) -> dict[str, Any] | None:
        """What our file of that name says; None if there is none, or one that isn't ours."""
        path = self.path / slug
        try:
            if slug.startswith(".") or not path.is_file() or path.stat().st_size > _largest:
                return None
            body = path.read_bytes()
            document = json.loads(body)
            is_ours = event_slug(document["event"]) == slug and "serving" in document
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        if not is_ours:
            return None
        self._bodies[slug] = body
        return dict(document)

    def write(self, slug: str, document: dict[str, Any]) -> None:
        """Publish. Where that fails, by OSError or NotOurs, the last file stays as it is."""
        body = json.dumps(document, separators=(",", ":")).encode()
        path = self.path / slug
        if self._bodies.get(slug) == body and path.exists():
            return  # so that its age says since when nothing has changed
        if slug not in self._bodies and os.path.lexists(path) and self.read(slug) is None:
            raise NotOurs(f"{path} is somebody else's file")
        self._put_in_place(path, body)
        self._bodies[slug] = body

    def age_seconds(self, slug: str) -> float:
        """How long ago the file was written, by the clock of this machine and of the folder's."""
        try:
            return max(0.0, time.time() - (self.path / slug).stat().st_mtime)
        except OSError:
            return 0.0

    def remove(self, slug: str) -> None:
        """Take the file away, if it is ours."""
        if self.read(slug) is not None:
            (self.path / slug).unlink(missing_ok=True)
        self._bodies.pop(slug, None)

    def _put_in_place(self, path: Path, body: bytes) -> None:
        try:
            with open(self._beside, "wb") as file:
                os.fchmod(file.fileno(), _readable_by_all)  # the web server is another user
                file.write(body)
            os.replace(self._beside, path)
        except OSError:
            with contextlib.suppress(OSError):
                self._beside.unlink(missing_ok=True)
            raise

    def _lock(self) -> None:
        """Two that write one folder would show every reader the line going back and forth."""
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AdmitgateError(f"{self.path} is written to by another publisher.") from None
        except OSError:
            return  # a file system without locks

    def _try_to_write(self) -> None:
        for left_by_a_killed_one in self.path.glob(".admitgate-*"):
            left_by_a_killed_one.unlink(missing_ok=True)
        self._beside.write_bytes(b"{}")
        self._beside.unlink()
