"""Handlers of IMAP commands, one file per family. Each is called as (session, tag, name, *arguments)."""
