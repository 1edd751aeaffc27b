"""SORT and THREAD as RFC 5256 writes them, step by step, for comparison; small and slow on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field

SUBJECTS = ("plan", "Plan", "other thing", "")
MARKS = ("", "Re: ", "Fwd: re: ")


@dataclass(frozen=True)
class Mail:
    """What a message says."""

    number: int  # place in the mailbox, from 1
    sent: int | None
    arrival: int
    subject: str
    mark: str
    sender: str
    identity: int | None
    references: tuple[int, ...]

    @property
    def when(self) -> int:
        return self.arrival if self.sent is None else self.sent

    @property
    def base(self) -> str:
        return self.subject.upper()

    @property
    def is_reply(self) -> bool:
        return bool(self.mark)


@dataclass(eq=False)
class Node:
    """A container: a message, or an ancestor that is not here."""

    mail: Mail | None = None
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    def set_parent(self, parent: Node | None) -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
        self.parent = parent
        if parent is not None:
            parent.children.append(self)

    def above(self, other: Node | None) -> bool:
        """Is it `other` or an ancestor of it?"""
        while other is not None and other is not self:
            other = other.parent
        return other is self

    def first(self) -> Mail:
        """The message that stands for the thread."""
        if self.mail is not None:
            return self.mail
        first = self.children[0].mail
        assert first is not None
        return first

    def rank(self) -> tuple[int, int]:
        return self.first().when, self.first().number

    def everything(self) -> list[Mail]:
        return [self.mail] * (self.mail is not None) + [mail for child in self.children for mail in child.everything()]

    def __str__(self) -> str:
        own = "" if self.mail is None else str(self.mail.number)
        if len(self.children) == 1:
            return f"{own} {self.children[0]}" if own else str(self.children[0])
        inside = "".join(f"({child})" for child in self.children)
        return f"{own} {inside}" if own and inside else own + inside


def sort(mails: list[Mail], criteria: list[tuple[str, bool]]) -> list[int]:
    """Message numbers; criteria: (key, is reversed)."""
    keys = {
        "ARRIVAL": lambda mail: mail.arrival,
        "DATE": lambda mail: mail.when,
        "FROM": lambda mail: mail.sender.upper(),
        "SUBJECT": lambda mail: mail.base,
    }
    order = sorted(mails, key=lambda mail: mail.number)
    for key, is_reversed in reversed(criteria):
        # Equal ones keep their order even when the key is reversed.
        order.sort(key=keys[key], reverse=is_reversed)
    return [mail.number for mail in order]


def ordered_subject(mails: list[Mail]) -> str:
    threads: dict[str, list[Mail]] = {}
    for mail in sorted(mails, key=lambda mail: (mail.when, mail.number)):
        threads.setdefault(mail.base, []).append(mail)
    return "".join(
        str(Wrapped(Node(first, children=[Node(mail) for mail in rest]))) for first, *rest in threads.values()
    )


@dataclass
class Wrapped:
    """A thread in its parentheses."""

    node: Node

    def __str__(self) -> str:
        return f"({self.node})"


def references(mails: list[Mail], *, subjects: bool) -> str:
    roots = _linked(mails)
    roots = [kept for root in roots for kept in _pruned(root, top=True)]
    for root in roots:
        root.parent = None
        _sort(root.children)
    _sort(roots)
    if subjects:
        roots = _merged(roots)
    for root in roots:
        _sort_below(root)
    _sort(roots)
    if not subjects:
        roots.sort(key=lambda root: max((mail.arrival, mail.number) for mail in root.everything()))
    return "".join(str(Wrapped(root)) for root in roots)


def _linked(mails: list[Mail]) -> list[Node]:
    """Step 1."""
    nodes: dict[object, Node] = {}
    for mail in mails:
        identity: object = mail.identity
        if identity is None or (identity in nodes and nodes[identity].mail is not None):
            identity = ("unique", mail.number)
        node = nodes.setdefault(identity, Node())
        node.mail = mail
        last: Node | None = None
        for reference in mail.references:
            ancestor = nodes.setdefault(reference, Node())
            if last is not None and ancestor.parent is None and not ancestor.above(last):
                ancestor.set_parent(last)
            last = ancestor
        node.set_parent(None)
        if last is not None and not node.above(last):
            node.set_parent(last)
    return [node for node in nodes.values() if node.parent is None]


def _pruned(node: Node, *, top: bool) -> list[Node]:
    """Steps 2 and 3: what stands in the node's place."""
    node.children = [kept for child in node.children for kept in _pruned(child, top=False)]
    for child in node.children:
        child.parent = node
    if node.mail is None and (not top or len(node.children) < 2):
        return node.children
    return [node]


def _sort(nodes: list[Node]) -> None:
    nodes.sort(key=Node.rank)


def _sort_below(node: Node) -> None:
    for child in node.children:
        _sort_below(child)
    _sort(node.children)


def _merged(roots: list[Node]) -> list[Node]:
    """Step 5."""

    def is_reply(node: Node) -> bool:
        return node.mail is not None and node.mail.is_reply

    table: dict[str, Node] = {}
    for root in roots:
        subject = root.first().base
        if not subject:
            continue
        kept = table.setdefault(subject, root)
        if kept.mail is not None and (root.mail is None or (is_reply(kept) and not is_reply(root))):
            table[subject] = root
    kept_roots = list(roots)
    for root in roots:
        subject = root.first().base
        if not subject or table[subject] is root:
            continue
        kept = table[subject]
        kept_roots.remove(root)
        if kept.mail is None and root.mail is None:
            kept.children += root.children
        elif kept.mail is None or (is_reply(root) and not is_reply(kept)):
            kept.children.append(root)
        else:
            kept_roots.remove(kept)
            table[subject] = Node(children=[kept, root])
            kept_roots.append(table[subject])
    return kept_roots
