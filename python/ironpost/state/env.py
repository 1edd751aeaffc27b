"""One LMDB environment of small state: short reads inline, writes through one thread with batched, synced commits.

Several worker processes open the same environment; LMDB's own lock orders their writers. A write is a function of a
transaction: it checks first and writes afterwards, and raises DirectoryError before its first write, so that one
refused edit leaves its batch whole. It never awaits and never leaves its thread (lmdb.md 4.3).
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

import lmdb
import trio

from ..errors import DirectoryError, UserError

MAP_SIZE: Final = 4 << 30  # address space, not disk; a million accounts take some 500 MB
READERS_MAX: Final = 1024
TABLES_MAX: Final = 32
BATCH_MAX: Final = 256
OPEN_ATTEMPTS: Final = 20  # opening may fail while another process opens or closes (lmdb.md 4.25)
WRITE_LIMIT_SECONDS: Final = 30.0
_NETWORK_FILE_SYSTEMS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "afs"})

Transaction = lmdb.Transaction
T = TypeVar("T")


class StateFailed(UserError):
    """The environment cannot be opened or written."""


class StateEnvironment:
    """Opens or creates the environment in `folder` with these named tables. `readers_inline` on any thread."""

    def __init__(self, folder: Path, tables: tuple[str, ...]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _refuse_network_file_system(folder)
        self._environment = _open(folder)
        try:
            # All handles in one write transaction at the start (lmdb.md 4.25); nothing is committed when all exist.
            self.tables: dict[str, Any] = {name: self._environment.open_db(name.encode()) for name in tables}
        except lmdb.Error as error:
            self._environment.close()
            raise StateFailed(f"{folder}: {error}") from None
        self._queue: queue.SimpleQueue[tuple[Callable[[Transaction], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def read(self) -> Transaction:
        """A read transaction, for a `with` block that ends before the next await."""
        return self._environment.begin()

    @property
    def last_transaction(self) -> int:
        """Number of the last committed write of any process, which every read that begins from now on sees.

        Of a read transaction: while a commit syncs, the number that the environment tells is ahead of what readers see, and
        what is remembered under it would be stale for good.
        """
        with self._environment.begin() as transaction:
            return int(transaction.id())

    def submit(self, write: Callable[[Transaction], T]) -> Future[T]:
        """Queues a write. Its future holds the result once it is on disk, DirectoryError, or StateFailed."""
        if self._closed:
            raise StateFailed("the state is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ironpost-state-writer", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._queue.put((write, future))
        return future

    async def write(self, write: Callable[[Transaction], T]) -> T:
        """`submit`, awaited under a shield of WRITE_LIMIT_SECONDS: what was asked for happens, or StateFailed."""
        future = self.submit(write)
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def tell(_: object) -> None:
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                return  # nobody waits any more

        future.add_done_callback(tell)
        with trio.CancelScope(deadline=trio.current_time() + WRITE_LIMIT_SECONDS, shield=True):
            await done.wait()
        if not future.done():
            raise StateFailed(f"a write of the directory has taken more than {WRITE_LIMIT_SECONDS:g} s")
        return future.result()

    def copy(self, folder: Path) -> None:
        """A compacted copy as `folder`/data.mdb, consistent and on disk when it returns; mode 0600. Blocks."""
        path = folder / "data.mdb"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._environment.copyfd(descriptor, compact=True)
            os.fsync(descriptor)
        except lmdb.Error as error:
            raise StateFailed(f"{path}: {error}") from None
        finally:
            os.close(descriptor)

    def clear_dead_readers(self) -> int:
        """Frees the reader slots of processes that have died."""
        return int(self._environment.reader_check())

    def close(self) -> None:
        """Finishes what is queued, then closes. Blocks."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        self._environment.close()

    # -- the writer thread

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            batch = []
            while item is not None:
                batch.append(item)
                if len(batch) == BATCH_MAX:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(batch)
            if item is None:
                return

    def _commit(self, batch: list[tuple[Callable[[Transaction], Any], Future[Any]]]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._environment.begin(write=True) as transaction:
                for write, future in batch:
                    try:
                        outcomes.append((future, write(transaction), None))
                    except DirectoryError as error:
                        outcomes.append((future, None, error))
        except Exception as error:
            if len(batch) > 1:
                # One of them broke: each alone, so that only that one fails.
                for item in batch:
                    self._commit([item])
                return
            failure = StateFailed(str(error)) if isinstance(error, lmdb.Error) else error
            outcomes = [(batch[0][1], None, failure)]
        for future, result, problem in outcomes:
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)


def _open(folder: Path) -> lmdb.Environment:
    for attempt in range(1, OPEN_ATTEMPTS + 1):
        try:
            environment = lmdb.open(
                str(folder), map_size=MAP_SIZE, max_dbs=TABLES_MAX, max_readers=READERS_MAX, mode=0o600
            )
        except lmdb.Error as error:
            if attempt == OPEN_ATTEMPTS:
                raise StateFailed(f"{folder}: {error}") from None
            time.sleep(0.05)
        else:
            environment.reader_check()
            return environment
    raise AssertionError("unreachable")


def _refuse_network_file_system(folder: Path) -> None:
    """LMDB maps files into shared memory, which network file systems do not give (lmdb.md 4.21)."""
    best, kind = "", ""
    resolved = str(folder.resolve())
    try:
        mounts = Path("/proc/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return  # no /proc: nothing can be known
    for line in mounts:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    if kind in _NETWORK_FILE_SYSTEMS:
        raise StateFailed(f"{folder} lies on a network file system ({kind}); put the data on a local disk")
