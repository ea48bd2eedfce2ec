"""What has been hashed before: an unchanged file (same inode, size and modification time) is not read again.

A cache and nothing more: it lives in ``.loopwright/``, may be deleted at any time, and full verification does not use it
(whoever may write the files may also set their times).
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from loopwright.store.hashing import FileStat, Hashes, Sealed

__all__ = ["StatCache"]

_CREATE = "CREATE TABLE IF NOT EXISTS hashed (path TEXT PRIMARY KEY, inode INT, mtime_ns INT, size INT, sha256 TEXT, md5 TEXT)"


class StatCache:
    """Hashes of files below ``root``, by path; usable as `Known`, also from several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._file = self._root / ".loopwright" / "stat.db"
        self._rows = dict[str, tuple[FileStat, Hashes] | None]()
        self._reader: sqlite3.Connection | None = None
        self._turn = threading.Lock()

    def __call__(self, path: Path, found: FileStat) -> Hashes | None:
        """The hashes of ``path`` if it still is the file that was hashed."""
        stat, hashes = self._row(self._key(path)) or (None, None)
        return hashes if stat == found else None

    def remember(self, path: Path, sealed: Sealed) -> None:
        """Note what was read of the artifact that is now at ``path``."""
        sha256s = {file.path: file.sha256 for file in sealed.manifest.files}
        new = {
            self._key(path / name if path.is_dir() else path): (stat, Hashes(sha256=sha256s[name], md5=sealed.md5s[name]))
            for name, stat in sealed.stats.items()
        }
        if any(self._row(key) != row for key, row in new.items()):
            self._save(new)
        self._rows |= new

    def _key(self, path: Path) -> str:
        absolute = path.absolute()
        return absolute.relative_to(self._root).as_posix() if absolute.is_relative_to(self._root) else str(absolute)

    def _row(self, key: str) -> tuple[FileStat, Hashes] | None:
        """What is noted of a file; one row at a time, since a long loop has a hundred thousand of them."""
        if key not in self._rows:
            with self._turn:
                self._rows[key] = self._look(key)
        return self._rows[key]

    def _look(self, key: str) -> tuple[FileStat, Hashes] | None:
        try:
            if self._reader is None:
                if not self._file.exists():
                    return None
                self._reader = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=5, check_same_thread=False)
            rows = self._reader.execute("SELECT inode, mtime_ns, size, sha256, md5 FROM hashed WHERE path = ?", (key,))
            found = rows.fetchone()
        except sqlite3.DatabaseError:  # locked, or damaged by a loss of power: then files are simply read again
            return None
        if found is None:
            return None
        inode, mtime_ns, size, sha256, md5 = found
        return FileStat(inode=inode, mtime_ns=mtime_ns, size=size), Hashes(sha256=sha256, md5=md5)

    def _save(self, rows: dict[str, tuple[FileStat, Hashes]]) -> None:
        values = [(key, s.inode, s.mtime_ns, s.size, h.sha256, h.md5) for key, (s, h) in rows.items()]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._file, timeout=5)) as database, database:
                database.execute("PRAGMA synchronous = OFF")  # nothing that could be lost is worth waiting for
                database.execute(_CREATE)
                database.executemany("INSERT OR REPLACE INTO hashed VALUES (?, ?, ?, ?, ?, ?)", values)
        except sqlite3.OperationalError:  # locked, full or read-only: the next process reads the files again
            return
        except sqlite3.DatabaseError:
            self._file.unlink(missing_ok=True)
        except OSError:
            return
