"""Check a Loopwright bundle without Loopwright: no code of it, the standard library and `cryptography` alone (docs/proof.md).

python3 verify_bundle.py BUNDLE [--witness NAME+ID+KEY]... [--quorum N] [--log-key NAME+ID+KEY]
Exit: 0 sound, 2 usage, 10 archive, 11 form, 12 checkpoint, 13 inclusion, 14 signature, 15 artifact, 16 incomplete, 17 trust.
"""

import argparse
import base64
import hashlib
import io
import json
import re
import zipfile

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

CLASSES = ("archive", "form", "checkpoint", "inclusion", "signature", "artifact", "incomplete", "trust")  # exit 10, 11, …
MEMBER = re.compile(r"\w+\.(txt|py|json)|(entries|checkpoints|timestamps|manifests|keys|files)(/[\w-][\w.-]*){1,10}", re.ASCII)
MAY = """controller: genesis open phase:seed phase:merge failure close rollback import enrol:founding request:run execute
controller: halt:budget anchor reproduction reveal gc | generator: phase:generate | verifier: phase:verify | gate: phase:decide
trainer: phase:train signature | evaluator: phase:evaluate phase:examine | agent: request:agent | log:
person: approval enrol rotate revoke request halt freeze recall observation answer filing incident"""
MAY = [(line.partition(":")[0].strip(), line.partition(":")[2].split()) for line in re.split(r"[\n|]", MAY)]


class Wrong(Exception):
    """What does not hold: one of `CLASSES`, and a sentence."""


def need(holds, kind, say):
    if not holds:
        raise Wrong(kind, say)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "form", "base64 in another spelling")
    return data


def key_id(name, kind, key):
    return sha(name.encode(), b"\n", kind, key)[:4]


def witness_key(text):
    need(text.count("+") >= 2, "trust", "a witness' key is NAME+ID+KEY")
    return text.split("+")[0], b64(text.split("+", 2)[2])[1:]


def signed(key, signature, message, token=None):
    """A FIDO2 token signs digests, and says that somebody touched it (OpenSSH, PROTOCOL.u2f)."""
    if token is not None:
        message = sha(token.encode()) + signature[64:] + sha(message)
        signature = signature[:64] if len(signature) == 69 and signature[64] & 1 else b""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def members(data):
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            at, names = 0, [one.filename for one in archive.infolist()]
            fair = len(data) <= 2**28 and len(names) <= 100_000 and names == sorted(set(names))
            for one in archive.infolist():
                plain = not (one.compress_type or one.flag_bits or one.extra or one.comment) and one.header_offset == at
                fair = fair and plain and one.compress_size == one.file_size and MEMBER.fullmatch(one.filename)
                at += 30 + len(one.filename) + one.file_size
            need(fair and at + sum(46 + len(one) for one in names) + 22 == len(data), "archive", "not plain, stored, in order")
            return {name: archive.read(name) for name in names}
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError) as error:
        raise Wrong("archive", str(error)) from error


def note(data, origin, size, logs):
    """Text, root and signature lines of a checkpoint that one of the log's keys signed."""
    try:
        body, _, tail = data.decode().rpartition("\n\n")
        head, lines = body.split("\n"), [one.split(" ") for one in tail.split("\n")[:-1]]
        lines, dashes = [(name, b64(blob)) for _, name, blob in lines], {dash for dash, _, _ in lines}
        root = b64(head[2])
    except (Wrong, ValueError, IndexError) as error:
        raise Wrong("checkpoint", f"checkpoints/{size}: {error}") from error
    ours = [(key, blob[4:]) for who, blob in lines for key in logs if who == origin and blob[:4] == key_id(who, b"\1", key)]
    fair = [origin, str(size), base64.b64encode(root).decode()] == head and len(root) == 32 and dashes == {"\u2014"}
    good = any(signed(key, signature, f"{body}\n".encode()) for key, signature in ours)
    need(fair and good and tail.endswith("\n"), "checkpoint", f"checkpoints/{size} is not what the log signed")
    return body + "\n", root, lines


def climb(first, second, at, last, path):
    """RFC 9162, 2.1.3.2 and 2.1.4.2: the two roots that a proof leads to."""
    for one in path:
        if last == 0:
            return None, None
        if at & 1 or at == last:
            first, second = sha(b"\1", one, first), sha(b"\1", one, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = sha(b"\1", second, one)
        at, last = at >> 1, last >> 1
    return (first, second) if last == 0 else (None, None)


def principal(told, demo):
    kinds = {"person": ("person", "demo") if demo else ("person",), "agent": ("agent",)}.get(told["role"], ("service",))
    need(told["kind"] in kinds and sha(b64(told["public_key"])).hex()[:16] == told["id"], "form", "no principal")
    whose, token = told.get("person") or told["id"], told.get("application")
    return {"role": told["role"], "key": b64(told["public_key"]), "person": whose, "token": token, "revoked": False}


def signatures(entries, people, demo):
    """Every entry by a key that was enrolled by then, was not revoked, and may say this."""
    for index, (kind, said, keyid, signature, payload) in entries.items():
        right = kind + (f":{said['phase']}" if kind == "phase" else "")
        right += ":" + said["by"] if kind in ("enrol", "request", "halt") and "by" in said else ""
        who, pae = people.get(keyid), b"DSSEv1 28 application/vnd.in-toto+json %d " % len(payload) + payload
        good = who and not who["revoked"] and any(role == who["role"] and right in rights for role, rights in MAY)
        good = good and signed(who["key"], signature, pae, who["token"])
        need(good, "signature", f"entry {index}: no key of today that may sign {right}")
        gone = {"rotate": said.get("old"), "revoke": said.get("principal")}.get(kind)
        need(not people.get(gone, {"revoked": gone})["revoked"], "signature", f"entry {index} ends no key")
        people.get(gone, {})["revoked"] = True
        if kind in ("enrol", "rotate"):
            made, first = principal(said["principal"], demo), all(one["role"] != "person" for one in people.values())
            other = first if "by" in said else kind == "rotate" or made["role"] != "person" or made["person"] != who["person"]
            need(other and said["principal"]["id"] not in people, "signature", f"entry {index} may not enrol this key")
            people[said["principal"]["id"]] = made


def artifacts(files, entries, cycle):
    """Files and manifests by digest; what the cycle made has its manifest here."""
    expected, outputs = {}, []
    for kind, said, *_ in entries.values():
        if kind == "phase":
            outputs += [(said["cycle"], out, f"manifests/{out['digest'][7:]}.json") for out in said["outputs"]]
            expected[f"cycles/{said['cycle']}/config/{said['phase']}.json"] = said["config"]
        recipe = said["recipe"] if kind == "open" else {"path": said["file"], **said} if kind == "signature" else None
        expected.update({recipe["path"]: recipe["digest"]} if recipe else {})
    for _, out, name in outputs:
        expected[name] = out["digest"]
        for file in json.loads(files.get(name, '{"files": []}'))["files"]:
            single = out["path"].rpartition("/")[2] == file["path"]
            expected[out["path"] if single else f"{out['path']}/{file['path']}"] = "sha256:" + file["sha256"]
    for name in [name for name in files if name.startswith(("manifests/", "files/"))]:
        wanted = expected.get(name.removeprefix("files/"))
        need(wanted == "sha256:" + sha(files[name]).hex(), "artifact", f"{name} is not what a statement names")
    there = {said["phase"] if kind == "phase" else kind for kind, said, *_ in entries.values() if said.get("cycle") == cycle}
    made = {out["path"]: name for whose, out, name in outputs if whose == cycle}
    need({"open", "close", "decide"} <= there and set(made.values()) <= set(files), "incomplete", f"not all of {cycle} is here")


def entry(data):
    told = json.loads(data)
    inner, [signature] = json.loads(b64(told["payload"])), told["signatures"]
    [kind] = re.findall(r"\Aurn:loopwright:([a-z][a-z0-9-]*):v1\Z", inner["predicateType"])
    ours = (told["payloadType"], inner["_type"]) == ("application/vnd.in-toto+json", "https://in-toto.io/Statement/v1")
    need(ours and isinstance(inner["predicate"], dict), "form", "no statement")
    return kind, inner["predicate"], signature["keyid"], b64(signature["sig"]), b64(told["payload"])


def verify(data, witnesses, quorum, log_key):
    files = members(data)
    index = json.loads(files["bundle.json"])
    size, whole, numbers = index["size"], index["whole"], [one["index"] for one in index["entries"]]
    shape = (index["schema"], index["format"], type(size), type(whole)) == (1, "loopwright-bundle", int, bool)
    shape = shape and {f"entries/{at}.json" for at in numbers} == {one for one in files if one[:8] == "entries/"}
    need(shape and numbers[:1] == [0] and numbers == sorted(set(numbers)), "form", "bundle.json is not of what is here")
    entries = {at: entry(files[f"entries/{at}.json"]) for at in numbers}
    proofs = [[b64(one) for one in told["proof"]] for told in index["entries"]]
    points = sorted(int(name[12:]) for name in files if name.startswith("checkpoints/"))
    steps = {one["old"]: [b64(each) for each in one["proof"]] for one in index["consistency"] if one["new"] == size}
    fits = points[-1] == size and [*sorted(steps), size] == points and len(steps) == len(index["consistency"])
    need(fits and all(len(one) == 32 for proof in [*proofs, *steps.values()] for one in proof), "form", "checkpoints, proofs")
    genesis, origin = entries[0][1], f"loopwright/{entries[0][1]['workspace']}"
    same = (entries[0][0], index["workspace"], index["origin"]) == ("genesis", genesis["workspace"], origin)
    need(same, "form", "the index and the first entry speak of two logs")
    people = {told["id"]: principal(told, genesis["demo"]) for told in genesis["principals"]}
    later = [said["principal"] for kind, said, *_ in entries.values() if kind in ("enrol", "rotate")]
    logs = [b64(one["public_key"]) for one in [*genesis["principals"], *later] if one["role"] == "log"]
    notes = {at: note(files[f"checkpoints/{at}"], origin, at, logs) for at in points}
    root = notes[size][1]
    for old, proof in steps.items():
        before, even = notes[old][1], max((old & -old).bit_length() - 1, 0)
        path = ([before] if old == 1 << even else []) + proof
        climbed = 0 < old < size and path and climb(path[0], path[0], old - 1 >> even, size - 1 >> even, path[1:])
        need(climbed == (before, root), "checkpoint", f"{size} entries do not continue {old}")
    for at, proof in zip(numbers, proofs, strict=True):
        leaf = sha(b"\0", files[f"entries/{at}.json"])
        need(at < size and climb(leaf, leaf, at, size - 1, proof)[1] == root, "inclusion", f"entry {at}: not in the log")
    signatures(entries, people, genesis["demo"])
    for name in [one for one in files if one.startswith("keys/")]:
        spki = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + people.get(name[5:-4], {"key": b""})["key"])
        pem = b"-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n" % spki
        need(files[name] == pem, "signature", f"{name} is another key")
    artifacts(files, entries, index["cycle"])
    need(not whole or numbers == list(range(size)), "incomplete", "said to hold every entry, and does not")
    own = f"{origin}+{key_id(origin, bytes([1]), logs[0]).hex()}+{base64.b64encode(bytes([1]) + logs[0]).decode()}"
    best = 0  # the largest checkpoint that enough of the reader's witnesses cosigned (C2SP tlog-cosignature)
    for at, (body, _, lines) in notes.items():
        count = 0
        for name, key in witnesses:
            mine = [blob for who, blob in lines if who == name and blob[:4] == key_id(name, b"\4", key)]
            for one in mine:
                text = f"cosignature/v1\ntime {int.from_bytes(one[4:12], 'big')}\n{body}".encode()
                need(len(one) == 76 and signed(key, one[12:], text), "trust", f"checkpoints/{at}: not what {name} signed")
            count += bool(mine)
        best = at if count >= quorum else best
    need(log_key in (None, own), "trust", f"the log's key is {own}")
    need(best or not witnesses, "trust", f"no checkpoint bears the cosignatures of {quorum} of your witnesses")
    told = f"{index['cycle']} of {index['workspace']}, {len(numbers)} of {size} entries; the log's key is {own}"
    return f"sound: {told}; {f'{best} entries are witnessed' if witnesses else 'no witness was named'}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=argparse.FileType("rb"))
    parser.add_argument("--witness", action="append", default=[])
    parser.add_argument("--quorum", type=int, default=1)
    parser.add_argument("--log-key")
    asked = parser.parse_args()
    try:
        witnesses = [witness_key(text) for text in dict.fromkeys(asked.witness)]
        print(verify(asked.bundle.read(2**28 + 1), witnesses, asked.quorum, asked.log_key))
    except (Wrong, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        kind, say = error.args if isinstance(error, Wrong) else ("form", repr(error))
        parser.exit(10 + CLASSES.index(kind), f"{kind}: {say}\n")


if __name__ == "__main__":
    main()
