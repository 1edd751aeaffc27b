"""What became of one recipient in one attempt."""

from __future__ import annotations

from typing import NamedTuple


class Outcome(NamedTuple):
    """A reply reduced to what the queue needs; replies of hosts and findings of our own look the same."""

    code: int
    enhanced: str
    text: str
    dsn_passed_on: bool = False  # the peer took over the duty to report
    found: bool = False  # a finding of our own, not a reply of the host

    @property
    def delivered(self) -> bool:
        """The peer has taken responsibility."""
        return 200 <= self.code < 300

    @property
    def permanent(self) -> bool:
        """Trying again is of no use."""
        return 500 <= self.code < 600

    def temporary(self) -> Outcome:
        """The same words as a temporary failure: it concerns the host, not the message."""
        if 400 <= self.code < 500:
            return self
        return self._replace(code=450, enhanced="4" + self.enhanced[1:], text=f"{self.code} {self.text}")
