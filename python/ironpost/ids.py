"""Names for the numbers that travel between the layers, so that one is never taken for another."""

from typing import NewType

AccountId = NewType("AccountId", int)  # given by the directory, never reused
MailboxId = NewType("MailboxId", int)  # given by the store, unique within its account
Uid = NewType("Uid", int)  # RFC 9051 §2.3.1.1
ModSeq = NewType("ModSeq", int)  # RFC 7162
QueueId = NewType("QueueId", int)
WorkerSlot = NewType("WorkerSlot", int)  # 1 .. number of workers; kept by a worker's successor
