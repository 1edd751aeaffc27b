"""What came of a migration: counts and digests of both sides, folder by folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

LISTED_MAX: Final = 1000  # faults that are named; more are counted


@dataclass(slots=True)
class FolderReport:
    """One folder."""

    source: str
    target: str
    messages: int = 0  # at the source
    octets: int = 0  # as they passed
    here: int = 0  # of those, what is here
    octets_here: int = 0
    digest: str = ""  # BLAKE3 over (UID, octets, digest) of each message as it passed
    digest_here: str = ""  # the same of what is here
    new: int = 0  # came in this run
    known: int = 0  # had come before
    found: int = 0  # were here already, octet for octet, and were not doubled
    flags_changed: int = 0
    flags_differ: int = 0  # here otherwise than there: changed here
    deleted: int = 0  # here, because they have vanished there
    vanished: int = 0  # gone at the source while we looked
    removed_here: int = 0  # came once and were deleted here since
    others: int = 0  # messages here that are none of the source's
    missing: int = 0  # of the source, named among the faults
    uids_kept: bool = False
    verified: int = 0  # read back and compared
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def fault(self, text: str) -> None:
        """Something that does not reconcile."""
        self.fault_count += 1
        if len(self.faults) < LISTED_MAX:
            self.faults.append(text)

    def lost(self, text: str) -> None:
        """A message that did not come."""
        self.missing += 1
        self.fault(text)

    @property
    def good(self) -> bool:
        """Everything of the source is here."""
        return not self.fault_count


@dataclass(slots=True)
class Report:
    """All folders of one account."""

    source: str
    address: str
    dry_run: bool = False
    folders: list[FolderReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """All of them reconcile."""
        return all(folder.good for folder in self.folders)

    def plain(self) -> dict[str, Any]:
        """As data."""
        return {**asdict(self), "good": self.good}
