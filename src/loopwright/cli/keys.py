"""`loopwright keys`: who may sign, since when, and how carefully they do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from loopwright.cli.options import AsJson, WorkspaceOption, emit
from loopwright.cli.people import As, PassphraseFile, at_desk, passphrase

__all__ = ["register"]

Ssh = Annotated[Path | None, typer.Option("--ssh", help="An OpenSSH public key: ssh-ed25519 or sk-ssh-ed25519@openssh.com.")]
Custody = Annotated[str | None, typer.Option(help="Where the private key of --ssh is: ssh-agent, sk-ssh or passphrase.")]
Name = Annotated[str, typer.Argument(help="The person's (or agent's) name; it stays out of the record.")]
Signer = Annotated[
    Path | None, typer.Option("--by-passphrase-file", help="The passphrase of who signs, where it is another one.")
]
Reason = Annotated[str, typer.Option(help="Why, for the record.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    keys = typer.Typer(help="Who may sign.", no_args_is_help=True, rich_markup_mode=None)
    for name, verb in (
        ("list", list_),
        ("new", new),
        ("enrol", enrol),
        ("rotate", rotate),
        ("revoke", revoke),
        ("forget", forget),
        ("trust", trust),
    ):
        keys.command(name)(verb)
    app.add_typer(keys, name="keys")


def list_(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Everybody who was ever enrolled."""
    from loopwright.govern.enrolment import listed

    with at_desk(workspace) as desk:
        rows = listed(desk)
    if as_json:
        emit({"schema_version": 1, "keys": rows})
        return
    for row in rows:
        ended = f", revoked by entry {row['revoked']} from entry {row['void_from']} on" if row["revoked"] is not None else ""
        note = f" ({row['note']})" if row["note"] else ""
        duties = f" [{', '.join(row['duties'])}]" if row["duties"] else ""
        sys.stdout.write(
            f"{row['key']}  {row['role']:<10} {row['name']}{note}{duties}, {row['custody']}, since entry {row['since']}{ended}\n"
        )


def new(name: Name, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Make your own key in this account, behind a passphrase; somebody who is enrolled then enrols its public part."""
    from loopwright.ledger.hands import make_person, public_file

    make_person(name, passphrase(passphrase_file))
    path = public_file(name)
    if as_json:
        emit({"schema_version": 1, "public": str(path)})
    else:
        sys.stdout.write(
            f"{path}\nNext: who is enrolled types `loopwright keys enrol {name} --ssh {path.name} --custody passphrase`\n"
        )


def enrol(
    name: Name,
    duty: Annotated[
        list[str] | None, typer.Option("--duty", help="A duty in the policy's quorums, for example safety.")
    ] = None,
    ssh: Ssh = None,
    custody: Custody = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="A model that may propose on behalf of --owner; it never approves.")
    ] = False,
    owner: Annotated[str | None, typer.Option(help="Of an agent: the person it acts for.")] = None,
    model: Annotated[str | None, typer.Option(help="Of an agent: its model's digest.")] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    by_passphrase_file: Signer = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """Enrol a person or an agent. The first person enrols alone; every other is enrolled by one who is there."""
    from loopwright.errors import UsageError
    from loopwright.govern import enrolment

    if agent != bool(owner and model):
        raise UsageError("an agent, and nobody else, has an owner and a model", "--agent --owner NAME --model sha256:…")
    with at_desk(workspace, by_passphrase_file or passphrase_file) as desk:
        if agent:
            made = enrolment.enrol_agent(desk, name, str(owner), str(model), who)
        else:
            made = enrolment.enrol(
                desk, name, duty or [], enrolment.new_key(name, passphrase(passphrase_file), ssh, custody), who
            )
    _said(made, f"{name} is enrolled", as_json=as_json)


def rotate(
    name: Annotated[str | None, typer.Argument(help="A person's name.")] = None,
    role: Annotated[str | None, typer.Option(help="A service's role instead, for example trainer.")] = None,
    ssh: Ssh = None,
    custody: Custody = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    by_passphrase_file: Signer = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """A new key for an old one; the old one signs nothing any more."""
    from loopwright.errors import UsageError
    from loopwright.govern import enrolment

    if (name is None) == (role is None):
        raise UsageError("whose key?", "`loopwright keys rotate NAME`, or `--role ROLE`")
    with at_desk(workspace, by_passphrase_file or passphrase_file) as desk:
        if role is not None:
            made = enrolment.rotate_role(desk, role, who)
        else:
            made = enrolment.rotate(
                desk, str(name), lambda file: enrolment.new_key(file, passphrase(passphrase_file), ssh, custody), who
            )
    _said(made, f"{name or role} has a new key", as_json=as_json)


def revoke(
    name: Annotated[str, typer.Argument(help="A person, an agent, or a key id.")],
    reason: Reason,
    effective: Annotated[
        int | None, typer.Option(help="Entry from which on what it signed counts for nothing; now by default.")
    ] = None,
    who: As = None,
    passphrase_file: PassphraseFile = None,
    workspace: WorkspaceOption = Path(),
    as_json: AsJson = False,
) -> None:
    """End somebody's keys, from an entry of the log on."""
    from loopwright.govern.enrolment import revoke as end

    with at_desk(workspace, passphrase_file) as desk:
        ended = end(desk, name, effective, reason, who)
    if as_json:
        emit({"schema_version": 1, "revoked": ended})
    else:
        sys.stdout.write(f"revoked: {', '.join(ended)}\n")


def forget(name: Name, workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """Erase a person's name: the record keeps a digest that nobody can trace to them, and everything still verifies."""
    from loopwright.ledger.names import forget as erase
    from loopwright.workspace import find

    digest = erase(find(workspace).root, name)
    if as_json:
        emit({"schema_version": 1, "person": digest})
    else:
        sys.stdout.write(
            f"the name is erased here; in the record stays {digest}. Copies of .loopwright elsewhere have it still\n"
        )


def trust(workspace: WorkspaceOption = Path(), as_json: AsJson = False) -> None:
    """How carefully persons answer: time to look, share approved, planted requests caught."""
    from loopwright.govern.trust import trust as measure
    from loopwright.workspace import find

    folder = find(workspace)
    seen = measure(folder.state(), folder.root)
    if as_json:
        emit(seen)
        return
    for row in seen["persons"]:
        note = f" ({row['note']})" if row["note"] else ""
        looked = f"{row['seconds_median']:.0f} s (median, n = {row['seconds_n']})" if row["seconds_n"] else "not measured"
        sys.stdout.write(
            f"{row['name']}{note}: approved {_share(row['approved'])}; looked {looked}, {row['without_opening']} without opening; "
            f"planted requests caught {_share(row['caught'])}\n"
        )
    sys.stdout.write(f"{seen['method']}\n" if seen["persons"] else "nobody has answered a request yet\n")


def _share(score: dict[str, float] | None) -> str:
    return f"{score['value']:.2f} ({score['low']:.2f}-{score['high']:.2f}, n = {score['n']})" if score else "none (n = 0)"


def _said(key: str, words: str, *, as_json: bool) -> None:
    if as_json:
        emit({"schema_version": 1, "key": key})
    else:
        sys.stdout.write(f"{words}: key {key}\n")
