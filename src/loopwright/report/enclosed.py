"""What travels inside a PDF beside its pages: the document as data, proofs of its evidence, bill of materials, compute ledger.

``evidence.json`` lets a reader who has the file and the log's public key check that the entries behind it are under the
signed checkpoint; what an entry says needs the record, and is not in here. It also names the digest of every other file.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from loopwright.ledger.merkle import leaf_hash
from loopwright.ledger.note import verifier_key
from loopwright.ledger.proofs import inclusion, tiled
from loopwright.ledger.reading import FOLDER
from loopwright.report.bom import NAME as BILL
from loopwright.report.bom import bill
from loopwright.report.document import Document
from loopwright.report.pdf import DataFile
from loopwright.report.record import Record
from loopwright.report.render import as_csv
from loopwright.report.vocabulary import Vocabulary
from loopwright.types import canonical, digest_bytes

__all__ = ["COMPUTE", "DOCUMENT", "EVIDENCE", "enclosed"]

DOCUMENT = "document.json"
EVIDENCE = "evidence.json"
COMPUTE = "compute-ledger.csv"
LEDGER = "compute.ledger"


def enclosed(
    made: Document, payload: bytes, tables: Sequence[DataFile], record: Record, words: Vocabulary
) -> tuple[DataFile, ...]:
    """All files that are embedded, the document's data first.

    Args:
        made: the document, of one audience.
        payload: its canonical JSON.
        tables: long tables that its pages cut.
        record: what it was drawn from.
        words: names of the files for a person.
    """
    files = [DataFile(name=DOCUMENT, data=payload, description=made.title)]
    if (told := bill(made)) is not None:
        files.append(DataFile(name=BILL, data=told, description=words.say("file_bill")))
    ledger = next(
        (fact for claim in made.claims for fact in claim.facts if fact.path == LEDGER and fact.value is not None), None
    )
    if ledger is not None:
        files.append(
            DataFile(
                name=COMPUTE, data=as_csv(ledger.value["heads"], ledger.value["rows"]), description=words.say("file_compute")
            )
        )
    files += tables
    digests = {file.name: digest_bytes(file.data) for file in files}
    proofs = DataFile(name=EVIDENCE, data=_proofs(made, record, digests), description=words.say("file_evidence"))
    return (files[0], proofs, *files[1:])


def _proofs(made: Document, record: Record, digests: dict[str, str]) -> bytes:
    size, entries = made.provenance.checkpoint.size, record.log.entries
    leaves = sorted({row.leaf for row in made.evidence if row.leaf is not None})
    roots = tiled(lambda name: (record.root / FOLDER / name).read_bytes(), size)
    logs = [one.principal for one in record.state.roster.holdings.values() if one.principal.role == "log"]
    keys = [verifier_key(made.provenance.checkpoint.origin, base64.b64decode(one.public_key)) for one in logs]
    return canonical(
        {
            "schema": 1,
            "checkpoint": record.log.notes[size],
            "log_keys": keys,
            "files": digests,
            "evidence": [row.model_dump(mode="json") for row in made.evidence],
            "proofs": [
                {
                    "leaf": leaf,
                    "leaf_hash": leaf_hash(entries[leaf]).hex(),
                    "path": [one.hex() for one in inclusion(roots, leaf, size)],
                }
                for leaf in leaves
            ],
        }
    )  # fmt: skip
