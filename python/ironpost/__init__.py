"""ironpost: a mail server. Rust parses, hashes and stores; Trio decides and waits (ARCHITECTURE.md)."""

__version__ = "0.1.0"
