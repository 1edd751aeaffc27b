"""From root to the owner of the data, before anything of it is opened or a worker is started."""

from __future__ import annotations

import os
import pwd
import stat

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
    _hand_over(config, user, group)
    if name:
        os.initgroups(name, group)
    else:
        os.setgroups([group])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)


def _hand_over(config: Config, user: int, group: int) -> None:
    """What root has made in the runtime folder (the lock, sockets) belongs to whoever serves from here on.

    The folder is that user's: a link that it has put there must not give it somebody else's file.
    """
    folder = config.runtime_folder
    if not folder.is_dir():
        return
    for path in (folder, *folder.iterdir()):
        facts = path.lstat()
        is_plain = stat.S_ISDIR(facts.st_mode) if path == folder else facts.st_nlink == 1
        if facts.st_uid == 0 and is_plain and not stat.S_ISLNK(facts.st_mode):
            os.chown(path, user, group, follow_symlinks=False)
