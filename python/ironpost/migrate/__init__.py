"""Pulls an account from any IMAP server: resumable, parallel, and with a report that reconciles what came with what went."""
