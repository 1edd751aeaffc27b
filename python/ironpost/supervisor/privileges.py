"""From root to the owner of the data, before anything of it is opened or a worker is started."""

from __future__ import annotations

import os
import pwd

from ..config import Config
from ..errors import UserError


def drop(config: Config) -> None:
    """Becomes `user` of the configuration, or the owner of the data; nothing when we are not root or root owns it."""
    if os.geteuid() != 0:
        return
    if config.user:
        try:
            entry = pwd.getpwnam(config.user)
        except KeyError:
            raise UserError(f"user: there is no user {config.user} on this machine") from None
        user, group, name = entry.pw_uid, entry.pw_gid, config.user
    else:
        facts = config.directory.stat()
        user, group, name = facts.st_uid, facts.st_gid, ""
    if user == 0:
        return
    if name:
        os.initgroups(name, group)
    else:
        os.setgroups([group])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
