"""The table of operations: all there, and none loads the store's extension before it is needed."""

from __future__ import annotations

import subprocess
import sys

from ironpost.portable import operations as mail_operations
from ironpost.worker import (
    app_password_operations,
    mailbox_operations,
    operations,
    quota_operations,
    session_operations,
    sharing_operations,
)


def test_operations_of_other_modules_are_listed() -> None:
    assert set(operations.MAILBOX_OPERATIONS) == set(mailbox_operations.OPERATIONS)
    assert set(operations.MAIL_OPERATIONS) == set(mail_operations.OPERATIONS)
    assert set(operations.APP_PASSWORD_OPERATIONS) == set(app_password_operations.OPERATIONS)
    assert set(operations.SESSION_OPERATIONS) == set(session_operations.OPERATIONS)
    assert set(operations.QUOTA_OPERATIONS) == set(quota_operations.OPERATIONS)
    assert set(operations.SHARING_OPERATIONS) == set(sharing_operations.OPERATIONS)


def test_they_are_documented() -> None:
    modules = (
        app_password_operations,
        mailbox_operations,
        quota_operations,
        session_operations,
        sharing_operations,
    )
    for operation in (operation for module in modules for operation in module.OPERATIONS.values()):
        assert (operation.__doc__ or "").startswith(("{", "->")), operation


def test_the_extension_is_not_loaded_by_the_table() -> None:
    code = "import sys, ironpost.worker.operations; sys.exit('ironpost._core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
