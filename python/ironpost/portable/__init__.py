"""Mailboxes of other servers in and out: Maildir, Maildir++, mbox, Dovecot's dbox; with flags, dates, UIDs and subscriptions.

Readers (`maildir`, `mbox`, `dbox`) stream folders and messages out of a tree of files and know nothing of the store;
`importing` puts them into an account, `exporting` writes an account as files. Both speak to the store through the
operations of `operations`, which a running server or the command itself carries out.
"""
