"""A second opinion is given: a person signs a filled file; a model elsewhere that is independent of the generator fills in another.

Neither admits or refuses a row. A person's file goes into the record as an answer does; a model's goes nowhere by itself.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loopwright.endpoint import Desk as Asking
from loopwright.endpoint import Question, answers
from loopwright.errors import PlanError, RefusedError, UsageError
from loopwright.external import Labeller
from loopwright.govern.answers import Given, answer
from loopwright.govern.letters import Letter, reply_letter
from loopwright.govern.requests import Desk
from loopwright.labelling import ANSWERS, FIELD, Queue, labels_of, queue_of
from loopwright.ledger.fold import CycleRecord, LoopState
from loopwright.ledger.independence import makers_of, objections
from loopwright.prompts import fill, first_word, labeller_prompt
from loopwright.store.tables import no_formula
from loopwright.types import Progress, seed_of
from loopwright.workspace import Workspace

__all__ = ["COLUMNS", "cycle_of", "file_of", "give", "label_letter", "suggest"]

COLUMNS = ("id", "task", "prompt", "answer", "label")


def cycle_of(state: LoopState, name: str) -> CycleRecord:
    """The cycle of this name; UsageError where there is none."""
    record = state.cycles.get(name)
    if record is None:
        raise UsageError(f"there is no cycle {name} (there are: {', '.join(state.cycles) or 'none'})", "`loopwright status`")
    return record


def file_of(found: Queue, labels: Mapping[str, str]) -> bytes:
    """The queue as CSV, with these labels in its last column; no text in it is a spreadsheet's formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found.rows:
        said = [*(str(row[name]) for name in COLUMNS[:-1]), labels.get(row["id"], "")]
        writer.writerow(map(no_formula, said))
    return out.getvalue().encode()


def give(desk: Desk, cycle: str, file: Path, name: str | None) -> dict[str, Any]:
    """Sign and record what a person answered; the entry, and how many rows it is about.

    Raises:
        UsageError: the file has no answer, a line that is none, or a row that nobody was asked about.
    """
    try:
        rows = _answered(desk, cycle, file.name, file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name the file that was filled in") from error
    given = Given(field=FIELD, document=None, about=cycle, state="statement", files=[file])
    return {"rows": rows, **answer(desk, given, name)}


def label_letter(desk: Desk, cycle: str, labels: Mapping[str, str], key: str) -> Letter:
    """The same as a letter to this key: the file with these labels, by row; errors as of `give`."""
    name = f"{cycle}-labels.csv"
    data = file_of(queue_of(desk.root, cycle_of(desk.consent.state(), cycle)), labels)
    _answered(desk, cycle, name, data)
    given = Given(field=FIELD, document=None, about=cycle, state="statement")
    return reply_letter(desk, given, key, [(name, "text/csv", data)])


def _answered(desk: Desk, cycle: str, name: str, data: bytes) -> int:
    """How many rows this file answers."""
    found, told = queue_of(desk.root, cycle_of(desk.consent.state(), cycle)), labels_of(name, data)
    strange = sorted(told.answers.keys() - {row["id"] for row in found.rows})
    if told.problems or strange or not told.answers:
        said = "; ".join((*told.problems, *(f"{row}: no row of this file" for row in strange))) or "it has no answer"
        raise UsageError(
            f"{name}: {said}", f"answers are {', '.join(ANSWERS)}; `loopwright label {cycle} --take FILE` writes a fresh file"
        )
    return len(told.answers)


def suggest(
    workspace: Workspace, state: LoopState, cycle: str, progress: Progress | None = None
) -> tuple[Queue, dict[str, str]]:
    """What the plan's model says of the queue's rows, by id; whatever else it says counts as ``unsure``.

    Raises:
        PlanError: the plan names no such model, or no prompt.
        RefusedError: it shares a lineage with what made the rows.
        InfraError, PhaseError, IntegrityError: see `loopwright.endpoint.answers`.
    """
    labeller, record = workspace.plan().labeller, cycle_of(state, cycle)
    if labeller is None:
        raise PlanError("the plan names no model for a second opinion", "labeller.endpoint in loop.yaml: docs/endpoints.md")
    _independent(state, record, labeller)
    found, template = queue_of(workspace.root, record), labeller_prompt(workspace.root, labeller).text
    texts = [fill(template, {"task": row["prompt"], "answer": json.dumps(row["answer"])}) for row in found.rows]
    questions = [
        Question(text=text, seed=seed_of("label", text), temperature=0.0, max_tokens=labeller.max_tokens) for text in texts
    ]
    scratch = workspace.private / "labels"
    scratch.mkdir(exist_ok=True)
    said = answers(labeller.endpoint, questions, Asking(root=workspace.root, scratch=scratch), progress)
    return found, {row["id"]: _word(one.text) for row, one in zip(found.rows, said, strict=True)}


def _independent(state: LoopState, record: CycleRecord, labeller: Labeller) -> None:
    parent = state.cycles.get(record.parent or "")
    champion = parent.artifact("model") if parent else None
    endpoint = labeller.endpoint
    makers = tuple(makers_of(state, record.cycle))
    if said := objections(state, champion.digest if champion else None, (endpoint.identity, endpoint.lineage), makers):
        raise RefusedError(f"a second opinion must be another's: {'; '.join(said)}", "ask a model of another family")


def _word(text: str) -> str:
    word = first_word(text)
    return word if word in ANSWERS else "unsure"
