"""Backups of a data directory (docs/backup.md): layout, taking, verifying, restoring. Packs and index are Rust's."""
