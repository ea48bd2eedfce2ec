"""A bundle: one file from which an outsider checks one cycle offline. Here is the container; `bundle_audit` checks what is in it.

A ZIP archive in one written form: members stored, sorted by name, dated 1980-01-01, nothing between or after them. The same
record gives the same bytes. Reading takes no other form and extracts nothing, so that a hostile file can neither unpack to
more than it is nor write anywhere.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO

__all__ = ["FREE", "INDEX", "MAX_BYTES", "MAX_MEMBERS", "read_bundle", "write_bundle"]

INDEX = "bundle.json"
"""The member that says what is here: entries with proofs, checkpoints, consistency proofs."""

FREE = ("README.txt", "verify_bundle.py")
"""Members for people, of which nothing is checked."""

MAX_BYTES = 256 * 2**20
MAX_MEMBERS = 100_000

_DATE = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(
    r"[A-Za-z0-9_]+\.(?:txt|py|json)|(?:entries|checkpoints|timestamps|manifests|keys|files)(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,10}"
)
_LOCAL, _CENTRAL, _END = 30, 46, 22
"""Bytes of ZIP's headers besides names (APPNOTE 4.3)."""


def write_bundle(members: Mapping[str, bytes]) -> bytes:
    """The archive of these members; ValueError where one has no member's name or there is too much."""
    if wrong := [name for name in members if _NAME.fullmatch(name) is None]:
        raise ValueError(f"{wrong[0]} is no member's name")
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, data in sorted(members.items()):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)
    if len(members) > MAX_MEMBERS or out.tell() > MAX_BYTES:
        raise ValueError(f"{len(members)} members of {out.tell()} bytes are too much for one bundle")
    return out.getvalue()


def read_bundle(data: bytes) -> dict[str, bytes]:
    """The members by name; ValueError unless the archive is in its one written form."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            infos = archive.infolist()
            _plain(infos, len(data))
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"no ZIP archive: {error}") from error


def _plain(infos: list[zipfile.ZipInfo], total: int) -> None:
    names, at = [info.filename for info in infos], 0
    if len(names) > MAX_MEMBERS or names != sorted(set(names)):
        raise ValueError("members are not in order, or too many, or there twice")
    for info in infos:
        if _NAME.fullmatch(info.filename) is None:
            raise ValueError(f"{info.filename[:100]!r} is no member's name")
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or info.flag_bits or info.extra or info.comment or info.header_offset != at:
            raise ValueError(f"{info.filename} is not stored as a bundle's members are")
        at += _LOCAL + len(info.filename) + info.file_size
    if at + sum(_CENTRAL + len(name) for name in names) + _END != total:
        raise ValueError("there are bytes that belong to no member")
