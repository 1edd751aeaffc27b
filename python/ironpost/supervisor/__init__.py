"""The supervisor: binds sockets, holds the instance lock, starts and watches the workers. Never opens the store."""
