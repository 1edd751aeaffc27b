"""One worker: opens the store, serves connections, and may hold the roles of relay, janitor and control."""
