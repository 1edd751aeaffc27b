"""Command name to handler; adding a command is one row here, one in the core's table, one in its family's file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .commands import (
    acl,
    append,
    authenticate,
    compress,
    idle,
    listing,
    mailbox,
    message,
    quota,
    searching,
    selection,
    urlauth,
)

__all__ = ["HANDLERS"]

# (session, tag, name, *arguments as _core.Command documents them)
Handler = Callable[..., Awaitable[Any]]

HANDLERS: dict[str, Handler] = {
    "APPEND": append.complete,
    "CANCELUPDATE": searching.cancel_update,
    "CAPABILITY": authenticate.capability,
    "CHECK": selection.check,
    "CLOSE": selection.close,
    "COMPRESS": compress.compress,
    "COPY": message.copy,
    "CREATE": mailbox.create,
    "DELETE": mailbox.delete,
    "DELETEACL": acl.delete_acl,
    "ENABLE": authenticate.enable,
    "EXAMINE": selection.select,
    "EXPUNGE": message.expunge,
    "FETCH": message.fetch,
    "GENURLAUTH": urlauth.gen_url_auth,
    "GETACL": acl.get_acl,
    "GETQUOTA": quota.get_quota,
    "GETQUOTAROOT": quota.get_quota_root,
    "ID": authenticate.identify,
    "IDLE": idle.begin,
    "LIST": listing.list_,
    "LISTRIGHTS": acl.list_rights,
    "LOGIN": authenticate.login,
    "LOGOUT": authenticate.logout,
    "LSUB": listing.lsub,
    "MOVE": message.copy,
    "MYRIGHTS": acl.my_rights,
    "NAMESPACE": mailbox.namespace,
    "NOOP": selection.check,
    "RENAME": mailbox.rename,
    "REPLACE": append.complete,
    "RESETKEY": urlauth.reset_key,
    "SEARCH": searching.search,
    "SELECT": selection.select,
    "SETACL": acl.set_acl,
    "SETQUOTA": quota.set_quota,
    "SORT": searching.search,
    "STARTTLS": authenticate.starttls,
    "STATUS": mailbox.status,
    "STORE": message.store,
    "SUBSCRIBE": mailbox.subscribe,
    "THREAD": searching.search,
    "UID COPY": message.copy,
    "UID EXPUNGE": message.expunge,
    "UID FETCH": message.fetch,
    "UID MOVE": message.copy,
    "UID REPLACE": append.complete,
    "UID SEARCH": searching.search,
    "UID SORT": searching.search,
    "UID STORE": message.store,
    "UID THREAD": searching.search,
    "UNAUTHENTICATE": authenticate.unauthenticate,
    "UNSELECT": selection.unselect,
    "UNSUBSCRIBE": mailbox.subscribe,
    "URLFETCH": urlauth.url_fetch,
}
