"""The ledger of one workspace: append a signed statement, publish, sign a checkpoint, read, hold the lease.

Reading takes the state database (`location` says which), or what is published where there is none, where it cannot be reached,
or where more is published (a clone, a pull). The first write brings the database up to what is published, after checking it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loopwright.clock import now
from loopwright.errors import IntegrityError, RefusedError, UsageError, WorkspaceError
from loopwright.ledger.commit import GroupCommit
from loopwright.ledger.genesis import genesis
from loopwright.ledger.keys import key_folder, make_demo_keys, make_keys
from loopwright.ledger.location import locate
from loopwright.ledger.note import Checkpoint, checkpoint_text, key_file, origin_of, sign_note
from loopwright.ledger.principals import Principal, enrolled, principal_id, signed_by
from loopwright.ledger.publication import Published, keep_file, publish
from loopwright.ledger.reading import FOLDER, first_entry, parsed, read, size_of, stored, stream
from loopwright.ledger.reserve import URGENT, Told, insist, keep
from loopwright.ledger.roster import Roster
from loopwright.ledger.schema import problems
from loopwright.ledger.signer import Hand, ProcessSigner, Signer, signable
from loopwright.ledger.statement import MAX_ENVELOPE, Statement, payload_of, read_statement, seal
from loopwright.ledger.tiles import published_size
from loopwright.types import Artifact, Digest, digest_bytes

if TYPE_CHECKING:
    from loopwright.ledger.lease import Lease
    from loopwright.ledger.storage import Snapshot, Storage

__all__ = ["FOLDER", "Draft", "Ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A statement to be signed and appended; see `Ledger.append`."""

    kind: str
    subjects: Sequence[Artifact] = ()
    predicate: Mapping[str, Any]
    role: str
    event: str


class Ledger:
    """The record of one workspace. One object may be used by several threads."""

    def __init__(self, root: Path, entry: bytes, signer: Signer) -> None:
        """Use `create` or `open`; ``entry`` is the log's first."""
        self._root = root
        self._first = entry
        self._genesis = read_statement(entry, 0)
        self._signer = signer
        self._lease: Lease | None = None
        self._urgent = False
        """Is an entry to be written or published that a full disk must take?"""
        self._published: Published | None = None
        self._location = locate(root)
        self._group = GroupCommit(self._write)

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        workspace: str,
        name: str,
        demo: bool,
        plan: Digest,
        forked_from: dict[str, Any] | None = None,
        key_home: Path | None = None,
        signer: Callable[[Path], Signer] = ProcessSigner,
    ) -> Ledger:
        """Make keys for every role, write the genesis entry, publish it under a first checkpoint.

        WorkspaceError where there is a ledger already. Keys that exist (a crash came between) are used.
        """
        folder = key_folder(workspace, key_home)
        keys, hand = make_keys(folder), signer(folder)
        persons = make_demo_keys(folder) if demo else None
        predicate = genesis(
            workspace=workspace, name=name, demo=demo, plan=plan, keys=keys, custody=hand.custody, forked_from=forked_from,
            created_at=now("seconds"), persons=persons,
        )  # fmt: skip
        return cls.begin(root, predicate, hand)

    @classmethod
    def begin(cls, root: Path, predicate: Mapping[str, Any], signer: Signer) -> Ledger:
        """Start a log with this genesis predicate; WorkspaceError where ``root`` has one."""
        location = locate(root)
        if stored(location) or published_size(root / FOLDER):
            own = "give this workspace a schema of its own (?schema= in record.url)"
            next_step = own if location.server else "choose an empty folder"
            raise WorkspaceError(f"{location if location.server else root} has a ledger already", next_step)
        payload = payload_of("genesis", [Artifact(kind="plan", digest=predicate["plan"], path="loop.yaml")], predicate)
        [controller] = (one for one in enrolled(predicate).values() if one.role == "controller")
        entry = seal(payload, controller.id, signer.sign("controller", payload))
        ledger = cls(root, entry, signer)
        with ledger._storage.transaction() as snapshot:
            snapshot.append([("genesis", entry)])
        ledger.sign_checkpoint()
        return ledger

    @classmethod
    def open(cls, root: Path, key_home: Path | None = None, *, signer: Callable[[Path], Signer] = ProcessSigner) -> Ledger:
        """The ledger of a workspace; reading needs no keys. WorkspaceError where there is none."""
        first = first_entry(root)
        if first is None:
            raise WorkspaceError(f"{root} has no ledger", "loopwright init")
        statement = parsed(first, 0)
        if statement.kind != "genesis" or problems(statement.kind, statement.predicate):
            raise IntegrityError(f"the ledger of {root} does not begin with a genesis entry", "loopwright verify")
        return cls(root, first, signer(key_folder(statement.predicate["workspace"], key_home)))

    @property
    def workspace(self) -> str:
        """The workspace's id."""
        return self._genesis.predicate["workspace"]

    @property
    def size(self) -> int:
        """Entries."""
        return size_of(self._location, self._root)

    def head(self) -> tuple[int, bytes]:
        """Size and root of the log as it is now."""
        with self._storage.transaction() as snapshot:
            tree = snapshot.tree()
        return tree.size, tree.root()

    def entries(self) -> list[bytes]:
        """The log's leaves as they are stored."""
        return list(read(self._location, self._root, 0))

    def entries_from(self, start: int, limit: int | None = None) -> list[bytes]:
        """The leaves from ``start`` on, at most ``limit``, as of now."""
        return read(self._location, self._root, start, limit)

    def statements_at(self, wanted: Sequence[int]) -> list[Statement]:
        """These entries, ascending numbers, as `statements` gives them; neighbours are read together."""
        found: list[Statement] = []
        for start, stop in _runs(wanted):
            found += map(parsed, self.entries_from(start, stop - start), range(start, stop))
        return found

    def statements(self, start: int = 0) -> Iterator[Statement]:
        """Entries from ``start`` on, as of now, without checking signatures; IntegrityError where one cannot be read."""
        entries = stream(self._location, self._root, start)
        return (parsed(entry, index) for index, entry in enumerate(entries, start))

    def append(
        self,
        kind: str,
        subjects: Sequence[Artifact],
        predicate: Mapping[str, Any],
        *,
        role: str,
        event: str,
        hand: Hand | None = None,
    ) -> int:
        """Sign and add a statement; its index. It is durable when this returns.

        A service signs by its ``role``; a person or an agent by their own ``hand`` (``person`` without one is a demonstration's
        operator). ``event`` names what happened: appended again under the same name, the first entry's index is returned and
        nothing is added, whatever the rest says. A failure, a halt or a freeze is taken by a full disk, too (`reserve`). UsageError where the statement is not well formed, RefusedError where
        the role may not say this, WorkspaceError without the role's key, InfraError where the disk is full or the lease
        that this ledger holds was lost.
        """
        principal = self._holder(hand) if hand else self._principal(role)
        draft = Draft(kind=kind, subjects=subjects, predicate=predicate, role=role, event=event)
        [entry] = self._sealed([(draft, principal)], hand)
        self._urgent |= kind in URGENT
        [index] = self._insisting(lambda: self._group.add([(event, entry)]))
        return index

    def append_at(
        self, size: int, kind: str, subjects: Sequence[Artifact], predicate: Mapping[str, Any], *, role: str, event: str
    ) -> int | None:
        """`append` by a service, only where the log has ``size`` entries still; None where somebody said something meanwhile.

        Whoever weighed the record up to there has weighed all of it: looking and writing are one step.
        """
        draft = Draft(kind=kind, subjects=subjects, predicate=predicate, role=role, event=event)
        [entry] = self._sealed([(draft, self._principal(role))])
        with self._storage.transaction() as snapshot:  # the writer's turn: nobody appends between this look and the entry
            if snapshot.tree().size != size:
                return None
            if self._lease is not None:
                self._lease.confirm(snapshot.connection)
            [index] = snapshot.append([(event, entry)])
        return index

    def append_many(self, drafts: Sequence[Draft], hand: Hand | None = None) -> list[int]:
        """`append` each of these in one transaction: all of them are durable when this returns, or none is there.

        A disk takes a hundred as fast as one, and the process of a role signs all that is its own in one turn. Events are kept
        once here, too; ``hand`` and errors as of `append`.
        """
        entries = self._sealed([(draft, self._holder(hand) if hand else self._principal(draft.role)) for draft in drafts], hand)
        return self._group.add([(draft.event, entry) for draft, entry in zip(drafts, entries, strict=True)])

    def anchor_access(self) -> list[int]:
        """Append an ``anchor`` statement for every hour of the access log that is over and has none; their indices.

        WorkspaceError without the controller's key.
        """
        from loopwright.ledger.access import anchor_of, ended, event_of

        files = {event_of(file): file for file in ended(self._root)}
        if not files:
            return []
        with self._storage.transaction() as snapshot:
            known = snapshot.find(list(files))
        return self.append_many(
            [
                Draft(kind="anchor", predicate=anchor_of(self._root, file), role="controller", event=event)
                for event, file in files.items()
                if event not in known
            ]
        )

    def publish(self) -> None:
        """Make the files in ``ledger/`` those of the log; does nothing where they are. InfraError on a full disk."""

        def work() -> None:
            with self._storage.transaction() as snapshot:  # one publisher at a time, and never an older one after a newer
                self._publish(snapshot)

        self._insisting(work)
        self._urgent = False

    def _insisting(self, work: Callable[[], Told]) -> Told:
        return insist(self._root, work) if self._urgent else work()

    def sign_checkpoint(self) -> str:
        """Sign size and root of the log as it is, keep the note, publish it; the note. Hours of the access log are anchored first."""
        with contextlib.suppress(WorkspaceError):  # the controller's key is elsewhere: so will be who anchors
            self.anchor_access()
        log = self._principal("log")
        with self._storage.transaction() as snapshot:
            tree = snapshot.tree()
            note = snapshot.checkpoints(tree.size).get(tree.size)
        if note is None:
            text = checkpoint_text(Checkpoint(origin=origin_of(self.workspace), size=tree.size, root=tree.root()))
            [signature] = self._signatures(log, [text.encode()])
            note = sign_note(text, origin_of(self.workspace), log, signature)
        with self._storage.transaction() as snapshot:
            if tree.size not in snapshot.checkpoints(tree.size):
                snapshot.add_checkpoint(tree.size, note)
            self._publish(snapshot)
        return note

    def _write(self, entries: Sequence[tuple[str, bytes]]) -> list[int]:
        with self._storage.transaction() as snapshot:
            if self._lease is not None:
                self._lease.confirm(snapshot.connection)
            return snapshot.append(entries)

    @contextlib.contextmanager
    def _hold(self) -> Iterator[Lease]:
        from loopwright.ledger.lease import hold

        with hold(self._storage) as lease:
            self._lease = lease
            try:
                keep(self._root)
                self.anchor_access()
                yield lease
            finally:
                self._lease = None

    def lease(self) -> AbstractContextManager[Lease]:
        """Hold the workspace for a ``with`` block; LeaseHeld (with host, process and time) where another driver has it.

        While it is held, an append fails with InfraError once another driver has taken over.
        """
        return self._hold()

    def close(self) -> None:
        """Release the database and end the signing processes."""
        self._signer.close()
        if "_storage" in self.__dict__:
            self._storage.close()

    @cached_property
    def _storage(self) -> Storage:
        from loopwright.ledger.recovery import catch_up
        from loopwright.ledger.storage import Storage

        storage = Storage(self._location)
        try:
            catch_up(storage, self._root / FOLDER)
        except BaseException:
            storage.close()
            raise
        return storage

    def roster(self) -> Roster:
        """Who is enrolled as of now; IntegrityError where an entry enrols whom it may not."""
        roster = Roster.of(self._genesis.predicate)
        for statement in self.statements(1):
            try:
                roster = roster.after(statement)
            except ValueError as error:
                raise IntegrityError(f"entry {statement.index}: {error}", "loopwright verify") from error
        return roster

    @cached_property
    def _services(self) -> Roster:
        """As of the first signature: a service's key changes only while nobody holds the lease."""
        return self.roster()

    def _principal(self, role: str) -> Principal:
        found = self._services.current(role)
        if not found or (role == "person" and found[0].kind != "demo"):
            raise UsageError(
                f"no principal of this workspace has the role {role!r} and a key of its own", "loopwright keys list"
            )
        return found[0]

    def _holder(self, hand: Hand) -> Principal:
        key = principal_id(hand.public_key)
        found = self.roster().holder(key)
        if found is None:
            raise RefusedError(f"key {key} is not enrolled in this workspace, or was revoked", "`loopwright keys list`")
        return found

    def _signatures(self, principal: Principal, payloads: Sequence[bytes], hand: Hand | None = None) -> list[bytes]:
        """By the hand, or by the role's process, in one turn: its last signature shows that none was lost and which key it holds."""
        wanted = [signable(principal.role, self.workspace, payload) for payload in (payloads if hand else payloads[-1:])]
        last, made = wanted[-1], list(map(hand.sign, wanted)) if hand else self._signer.sign_many(principal.role, payloads)
        if len(made) != len(payloads) or not signed_by(principal, made[-1], last):
            problem = f"the {principal.role} key on this machine is not the one that the workspace's genesis entry enrols"
            raise WorkspaceError(problem, "restore the workspace's keys from their backup")
        return made

    def _sealed(self, drafts: Sequence[tuple[Draft, Principal]], hand: Hand | None = None) -> list[bytes]:
        """The entry of each draft, signed by its principal: by the ``hand``, where it is theirs."""
        payloads = [self.payload(draft) for draft, _ in drafts]
        signers = [principal for _, principal in drafts]
        made = {
            one: iter(self._signatures(one, [said for said, who in zip(payloads, signers, strict=True) if who == one], hand))
            for one in dict.fromkeys(signers)
        }
        entries = [seal(said, who.id, next(made[who])) for said, who in zip(payloads, signers, strict=True)]
        for (draft, _), entry in zip(drafts, entries, strict=True):
            if len(entry) > MAX_ENVELOPE:
                problem = f"the {draft.kind} statement is too long for the log: {len(entry)} bytes of {MAX_ENVELOPE}"
                raise UsageError(problem, "record what is long as an artifact, and its digest in the statement")
        return entries

    def payload(self, draft: Draft) -> bytes:
        """The canonical bytes that are to be signed; UsageError where it is not well formed."""
        about = draft.subjects or [_log_itself(self._first)]
        try:
            payload = payload_of(draft.kind, about, {**draft.predicate, "event": draft.event})
            missing = problems(draft.kind, json.loads(payload)["predicate"])
        except (ValueError, AttributeError) as error:
            raise UsageError(f"the {draft.kind} statement has no canonical form: {error}") from error
        if missing:
            raise UsageError(f"the {draft.kind} statement lacks, or has impossible values in: {', '.join(missing)}")
        return payload

    def _publish(self, snapshot: Snapshot) -> None:
        folder, before = self._root / FOLDER, self._published
        keep_file(folder / "keys.json", key_file(self._genesis.predicate))
        since = before.base() if before else 0
        notes = snapshot.checkpoints(before.latest if before and since else 0)
        self._published = publish(folder, snapshot.tree().size, notes, snapshot, since)


def _runs(wanted: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (start, stop) of what follows without a gap."""
    found: list[tuple[int, int]] = []
    for at in wanted:
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


def _log_itself(first: bytes) -> Artifact:
    """What a statement about no artifact is about: in-toto wants a subject, and this one binds it to this log."""
    return Artifact(kind="log", digest=digest_bytes(first), path=FOLDER)
