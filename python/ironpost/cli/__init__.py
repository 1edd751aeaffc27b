"""The `ironpost` command. Modules are imported by the commands that need them, so that `--help` is quick."""
