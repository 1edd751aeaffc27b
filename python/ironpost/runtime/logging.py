"""One event, one line on standard error: `key=value` pairs or JSON. Values are bounded; secrets have no way in.

A logger is a small object with bound fields; `bind` makes a richer one. A field whose name speaks of a secret is never
written, whoever passes it.
"""

from __future__ import annotations

import json
import os
import re
import time
import traceback
from typing import Any, Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
VALUE_CHARACTERS_MAX: Final = 500  # what a peer sends may stand in a line, never fill the disk
TRACE_CHARACTERS_MAX: Final = 6000
_SECRET: Final = re.compile("pass(word|wd|phrase)|secret|credential|token|verifier", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[!#-<>-\[\]-~]+")


class LogOptions:
    """Where and how a process writes; shared by all its loggers, changed in place by a reload."""

    __slots__ = ("descriptor", "json", "level")

    def __init__(self, level: str = "info", format: str = "text", descriptor: int = 2) -> None:
        self.descriptor = descriptor
        self.configure(level, format)

    def configure(self, level: str, format: str) -> None:
        """Takes effect with the next line."""
        self.level = LEVELS[level]
        self.json = format == "json"


class Log:
    """A logger with bound fields."""

    __slots__ = ("_fields", "_options")

    def __init__(self, options: LogOptions | None = None, fields: dict[str, Any] | None = None) -> None:
        self._options = options or LogOptions()
        self._fields = fields or {}

    def bind(self, **fields: Any) -> Log:
        """A logger that adds these fields to each line."""
        return Log(self._options, {**self._fields, **fields})

    @property
    def reference(self) -> str:
        """What a peer may be told, so that its operator and ours find the same line: the session's id."""
        return str(self._fields.get("session", "-"))

    def debug(self, event: str, **fields: Any) -> None:
        """For those who hunt a fault."""
        if self._options.level <= 10:
            self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """The ordinary life of the server."""
        if self._options.level <= 20:
            self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Someone should look, soon."""
        if self._options.level <= 30:
            self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Someone should look now."""
        self._write("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Like error, with the exception under way: its trace stands in the same line."""
        trace = traceback.format_exc(limit=-12)
        self._write("error", event, {**fields, "trace": trace[-TRACE_CHARACTERS_MAX:]})

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        record = {"time": _stamp(), "level": level, "event": event, **self._fields, **fields}
        safe = {key: _bounded(key, value) for key, value in record.items()}
        if self._options.json:
            line = json.dumps(safe, ensure_ascii=False, default=str)
        else:
            pairs = (f"{key}={_quoted(safe[key])}" for key in safe if key not in ("time", "level", "event"))
            line = " ".join((str(safe["time"]), f"{level:<7}", _one_line(event), *pairs))
        octets = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            # One write for each line, so that the lines of several processes do not mix.
            os.write(self._options.descriptor, octets)
        except OSError:
            # Standard error is gone or full, and there is no other place to say so.
            return


def _stamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def _bounded(key: str, value: Any) -> Any:
    if _SECRET.search(key):
        return "(hidden)"
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    bound = TRACE_CHARACTERS_MAX if key == "trace" else VALUE_CHARACTERS_MAX
    return text if len(text) <= bound else text[:bound] + "..."


def _quoted(value: Any) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text, ensure_ascii=False)


def standard(config_level: str = "info", config_format: str = "text") -> Log:
    """A logger to this process's standard error."""
    return Log(LogOptions(config_level, config_format))
