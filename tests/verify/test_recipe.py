"""Recipe proposals: the diff applier against difflib and git, and everything that a proposal may not do."""

from __future__ import annotations

import difflib
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopwright.planfile import parse_recipes
from loopwright.verify.patch import PatchRefused, apply_diff
from loopwright.verify.recipe import RecipeRefused, changed_recipe

STEADY = settings(deadline=None)  # a loaded machine is no defect

SECTION = "  steps: {steps}\n  lr: 0.0015\n  human_share: {share}\n"
BASE = f"# how models are trained\nseed:\n{SECTION.format(steps=450, share=1.0)}cycle:\n{SECTION.format(steps=220, share=0.5)}"

lines = st.lists(st.sampled_from(["a", "b", "", "-- x", "+++ y", "@@ z", "\\ w", " "]), max_size=12)


def unified(old: str, new: str, name: str = "recipe.yaml", context: int = 3) -> str:
    parts = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=context
    )
    return "".join(part if part.endswith("\n") else f"{part}\n\\ No newline at end of file\n" for part in parts)


def change(old: str, new: str) -> str:
    """The diff from BASE to BASE with a text replaced once."""
    assert old in BASE
    return unified(BASE, BASE.replace(old, new, 1))


def propose(diff: str, allowed: tuple[str, ...] = ("recipe.yaml",)) -> str:
    return changed_recipe(diff, BASE, allowed=allowed, human_floor=0.5)


# --- the applier -----------------------------------------------------------------------------------------------------


@STEADY
@given(lines, lines, st.booleans(), st.booleans(), st.integers(0, 3))
def test_what_difflib_takes_apart_is_put_together(old, new, end_old, end_new, context) -> None:
    before, after = "\n".join(old) + "\n" * end_old, "\n".join(new) + "\n" * end_new
    diff = unified(before, after, context=context)
    if before == after:
        with pytest.raises(PatchRefused):
            apply_diff(diff, {"recipe.yaml": before})
    else:
        assert apply_diff(diff, {"recipe.yaml": before}) == {"recipe.yaml": after}


@STEADY
@given(lines, lines, st.integers(0, 400), st.sampled_from(["x", "\n", "-", "+", " ", "@", "9", ""]))
def test_a_damaged_diff_is_refused_or_does_what_it_says(old, new, place, text) -> None:
    before, after = "".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new)
    diff = unified(before, after)
    damaged = diff[:place] + text + diff[place + 1 :]
    try:
        result = apply_diff(damaged, {"recipe.yaml": before})
    except PatchRefused:
        return
    old_lines, new_lines = (Counter(text.removesuffix("\n").split("\n")) for text in (before, result["recipe.yaml"]))
    said = [line for line in damaged.split("\n") if line]
    assert new_lines - old_lines <= Counter(["", *(line[1:] for line in said if line[0] == "+")])
    assert old_lines - new_lines <= Counter(["", *(line[1:] for line in said if line[0] == "-")])


@STEADY
@given(st.text(max_size=200))
def test_no_text_does_anything_but_apply_or_be_refused(text) -> None:
    with pytest.raises(PatchRefused):
        apply_diff(text, {"recipe.yaml": BASE})


def test_what_git_writes_is_read(tmp_path: Path, require) -> None:
    require("git")
    new = BASE.replace("220", "300").replace("# how", "# this is how")
    for name, text in (("a", BASE), ("b", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(text)
    command = ["git", "diff", "--no-index", "--no-prefix", "a/recipe.yaml", "b/recipe.yaml"]
    diff = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert diff.startswith("diff --git ")
    assert apply_diff(diff, {"recipe.yaml": BASE}) == {"recipe.yaml": new}


HEAD = "--- a/recipe.yaml\n+++ b/recipe.yaml\n"
HUNK = "@@ -1,2 +1,2 @@\n-# how models are trained\n+# trained how\n seed:\n"
REFUSED = {
    "nothing": "",
    "prose before": "please\n" + HEAD + HUNK,
    "prose after": HEAD + HUNK + "thanks\n",
    "other path": HEAD.replace("recipe", "loop") + HUNK,
    "path upwards": HEAD.replace("recipe.yaml", "../recipe.yaml") + HUNK,
    "absolute path": "--- /recipe.yaml\n+++ /recipe.yaml\n" + HUNK,
    "renamed": "--- a/recipe.yaml\n+++ b/other.yaml\n" + HUNK,
    "git rename": "diff --git a/recipe.yaml b/x\nsimilarity index 100%\nrename from recipe.yaml\nrename to x\n",
    "deleted": "diff --git a/recipe.yaml b/recipe.yaml\ndeleted file mode 100644\n--- a/recipe.yaml\n+++ /dev/null\n" + HUNK,
    "created": "--- /dev/null\n+++ b/recipe.yaml\n@@ -0,0 +1 @@\n+x\n",
    "mode": "diff --git a/recipe.yaml b/recipe.yaml\nold mode 100644\nnew mode 100755\n",
    "binary": "diff --git a/recipe.yaml b/recipe.yaml\nGIT binary patch\nliteral 1\n",
    "binary files": "Binary files a/recipe.yaml and b/recipe.yaml differ\n",
    "twice": (HEAD + HUNK) * 2,
    "no hunk": HEAD,
    "cut short": HEAD + HUNK.removesuffix(" seed:\n"),
    "other context": HEAD + HUNK.replace(" seed:", " Seed:"),
    "off by a line": HEAD + HUNK.replace("-1,2 +1,2", "-2,2 +2,2"),
    "wrong place in the result": HEAD + HUNK.replace("+1,2", "+3,2"),
    "wrong count": HEAD + HUNK.replace("-1,2", "-1,3"),
    "hunks that go back": HEAD + HUNK + HUNK,
    "hunk within another": HEAD + "@@ -2 +2 @@\n-seed:\n+x\n@@ -1 +3 @@\n-# how models are trained\n+y\n",
    "carriage return": HEAD + HUNK.replace("trained how", "trained how\r"),
    "zero byte": HEAD + HUNK.replace("trained how", "\0"),
    "too long": HEAD + HUNK + " " * 70_000,
}


def test_the_plain_form_of_the_refused_ones_is_taken() -> None:
    assert apply_diff(HEAD + HUNK, {"recipe.yaml": BASE})["recipe.yaml"].startswith("# trained how\nseed:\n  steps: 450\n")


@pytest.mark.parametrize("name", REFUSED)
def test_anything_but_changes_of_lines_is_refused(name: str) -> None:
    with pytest.raises(PatchRefused):
        apply_diff(REFUSED[name], {"recipe.yaml": BASE})


# --- what a proposal may change --------------------------------------------------------------------------------------


def test_a_change_of_the_cycle_section_is_taken() -> None:
    text = propose(change("steps: 220", "steps: 300"))
    assert text == BASE.replace("steps: 220", "steps: 300")
    assert parse_recipes(text).cycle.steps == 300
    assert parse_recipes(text).seed == parse_recipes(BASE).seed


@pytest.mark.parametrize(
    ("diff", "reason"),
    [
        (change("steps: 450", "steps: 451"), "section `seed` may not change"),
        (change("human_share: 0.5", "human_share: 0.49"), "below the plan's floor of 0.5"),
        (change("steps: 220", "steps: -1"), "recipe.yaml:"),
        (change("steps: 220", "steps: .nan"), "recipe.yaml:"),
        (change("steps: 220", "steps: 220\n  metric: best"), "unknown key"),
        (change("cycle:", "evaluation: {tasks: 1}\ncycle:"), "unknown key"),
        (change("steps: 220", "steps: 220\n  steps: 300"), "given twice"),
        (change("steps: 220", "steps: [220"), "no YAML"),
        (change("steps: 220", "steps: &a 220\n  warmup: *a"), "YAML reference"),
        (change("# how models are trained", "# trained how"), "leaves every value"),
        (unified(BASE, BASE.replace("220", "300"), "loop.yaml"), "'loop.yaml' may not be changed"),
        (unified(BASE, "a: !!python/object/apply:os.system [true]\n"), "recipe.yaml:"),
    ],
    ids=lambda value: value if " " in value and "\n" not in value else None,
)
def test_a_proposal_that_reaches_further_is_refused(diff: str, reason: str) -> None:
    with pytest.raises(RecipeRefused) as refused:
        propose(diff)
    assert reason in str(refused.value)


def test_the_plan_may_allow_no_file_at_all() -> None:
    with pytest.raises(RecipeRefused, match="allowed: nothing"):
        propose(change("steps: 220", "steps: 300"), allowed=())
