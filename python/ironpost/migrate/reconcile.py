"""The end of a folder: flags that have changed, messages that have vanished, and whether both sides agree."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .. import _core
from .journal import DIGEST_OCTETS
from .target import NO_DIGEST, Fact

if TYPE_CHECKING:
    from .job import FolderJob
    from .journal import Journal
    from .target import Target

TELL_EACH: Final = 100  # messages
_ROW: Final = struct.Struct(">IQ")


async def apply_changes(target: Target, journal: Journal, job: FolderJob, *, delete: bool) -> None:
    """Flags that the source has changed since they came here, and, if so wanted, deletions."""
    log = job.log
    view = await target.view(job.folder.target)
    for flags, positions in job.changed.items():
        uids = [log.targets[at] for at in positions if log.targets[at]]
        try:
            await target.set_flags(view, uids, flags)
        except _core.Refused as error:  # no room for another keyword
            job.report.fault(f"{job.folder.source}: flags of {len(uids)} messages not set: {error}")
            continue
        number = journal.flags(flags)
        journal.flagged(log, [(at, number) for at in positions])
        job.report.flags_changed += len(uids)
    job.changed.clear()
    if delete:
        gone = [at for at, mark in enumerate(job.marks) if not mark and log.targets[at]]
        job.report.deleted = await target.remove(view, [log.targets[at] for at in gone])
        if gone:
            journal.gone(log, gone)


async def compare(target: Target, job: FolderJob, *, verify: bool, tell: Callable[..., Any]) -> None:
    """Counts and digests of both sides into the report; `verify` reads every message back."""
    log, report = job.log, job.report
    view = await target.view(job.folder.target)
    here: dict[int, int] = {log.targets[at]: at for at, mark in enumerate(job.marks) if mark and log.targets[at]}
    found: dict[int, bytes] = {}  # position to digest here
    after = 0
    while facts := await target.facts(view, after):
        after = facts[-1].uid
        for fact in facts:
            at = here.get(fact.uid)
            if at is None:
                continue
            digest = await _digest(target, view, job, fact, verify=verify or fact.digest == NO_DIGEST)
            found[at] = digest
            report.here += 1
            report.octets_here += fact.size
            if verify and report.verified % TELL_EACH == 0:
                tell(folder=job.folder.source, verified=report.verified)
            if digest != log.digest(at) or fact.size != log.sizes[at]:
                report.fault(f"{job.folder.source} UID {log.uids[at]} (here {fact.uid}): what is here is not what came")
            if tuple(sorted(fact.flags)) != journal_flags(job, at):
                report.flags_differ += 1
    ours, theirs = _core.Digest(), _core.Digest()
    for at in sorted(here.values(), key=lambda at: log.uids[at]):
        row = _ROW.pack(log.uids[at], log.sizes[at])
        report.octets += log.sizes[at]
        theirs.update(row + log.digest(at))
        if at in found:
            ours.update(row + found[at])
        else:
            report.removed_here += 1
    report.digest, report.digest_here = theirs.digest().hex(), ours.digest().hex()
    missing = report.messages - len(here) - report.missing
    if missing > 0:
        report.fault(f"{job.folder.source}: {missing} messages of the source are not here")


def journal_flags(job: FolderJob, at: int) -> tuple[str, ...]:
    """Flags as they came."""
    return job.flag_sets[job.log.flags[at]]


async def _digest(target: Target, view: _core.MailboxView, job: FolderJob, fact: Fact, *, verify: bool) -> bytes:
    if not verify:
        return fact.digest
    job.report.verified += 1
    try:
        return (await target.digest(view, fact.uid, fact.size))[:DIGEST_OCTETS]
    except (_core.StoreCorrupt, _core.NotFound):
        return NO_DIGEST
