"""The plan: all that a person decides in advance, as one strict, frozen, hashed model (read by `loopwright.planfile`).

What one cycle's phases see of it is in `loopwright.sections`.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loopwright.external import Endpoint, Judge, Labeller, PromptFile
from loopwright.policy import Alerts, Approvals, Budgets, Count, Exclude, Gate, Positive, Section, Share, Whole
from loopwright.recipe import Recipe, Recipes
from loopwright.types import Digest, digest_value

__all__ = [
    "Evaluator",
    "Examiner",
    "Exclude",
    "Generator",
    "Metrics",
    "Mix",
    "Plan",
    "Plugin",
    "Recipe",
    "Recipes",
    "Record",
    "Runtime",
    "Section",
    "Source",
    "Trainer",
    "Verifier",
]


class Plugin(Section):
    """A plug-in by its entry-point name, with its own settings."""

    name: str
    settings: dict[str, Any] = Field(default_factory=dict)


class Source(Section):
    """A file of human data below ``sources/``: JSON lines with ``prompt`` and ``answer``."""

    path: Annotated[str, Field(pattern=r"^sources/([A-Za-z0-9_-][A-Za-z0-9._-]*/)*[A-Za-z0-9_-][A-Za-z0-9._-]*\.jsonl$")]
    licence: Annotated[str, Field(min_length=1)]
    """SPDX identifier, or the words of the agreement."""
    origin: Annotated[str, Field(min_length=1)]
    """Where the rows come from, for the reports."""


class Generator(Section):
    """The generate phase: how much the champion proposes."""

    tasks: Count = 1200
    """New tasks a cycle."""
    samples: Count = 4
    """Answers a task."""
    temperature: Positive = 0.8
    shard_rows: Count = 600
    """Rows a work item; fixed here so that the bytes do not depend on the number of workers."""
    max_new_tokens: Count = 128
    floor: Annotated[float, Field(gt=0, le=1)] = 0.04
    """Curriculum: a level's share goes by sqrt(p(1-p)) + floor, p its solve rate in the cycle before."""
    endpoint: Endpoint | None = None
    """A model elsewhere that answers in the champion's place (docs/endpoints.md)."""
    prompt: PromptFile = "prompts/generate.txt"
    """How it is asked: has ``{prompt}``, where the task's own prompt goes."""


class Verifier(Section):
    """The verify phase: what it takes for a row to be accepted."""

    per_task: Count = 2
    """Distinct accepted answers a task, at most."""
    minimum_level: Literal["SL0", "SL1", "SL2", "SL3", "SL4"] = "SL2"
    """Isolation below which nothing is judged."""
    wall_seconds: Positive = 2.0
    """Limit for one candidate, over all its inputs."""
    memory_mib: Count = 512
    canary_every: Count = 1000
    """Among so many judged answers one canary of each kind (good, wrong, hostile) is judged as well, and in every batch."""
    patience_seconds: Positive = 600.0
    """Silence after which a domain that judges counts as hanging."""
    near_duplicate: Share | None = None
    """Similarity to an archived or earlier row from which on a row is refused (`loopwright.verify.nearness`); None: any is taken."""
    scan: bool = True
    """Programs are read before they run, and those with what only an attack needs are refused (`loopwright.verify.scan`)."""
    gold: Whole = 200
    """Answers of known truth that are judged among a cycle's own, to measure the verifier; they never enter the archive."""
    rerun: Whole = 50
    """Accepted answers, at most, that are judged a second time; those with another verdict are refused."""
    accept: Literal["verified", "unsafe_unverified"] = "verified"
    """``unsafe_unverified`` takes every well-formed row: a control arm, named so in the record."""
    unsafe_no_hidden_tests: bool = False
    """Lets a domain without hidden checks run, and says so in the record: its verdicts can be learnt by heart."""
    judge: Judge | None = None
    """A model elsewhere that may refuse what passed every check."""
    recipe_files: tuple[str, ...] = ("recipe.yaml",)
    """Training files that a recipe proposal may change."""


class Mix(Section):
    """What training data may be made of."""

    human_floor: Share = 0.5
    """Least share of human rows in every training batch."""


class Trainer(Section):
    """The train phase, apart from the recipe."""

    checkpoint_every: Count = 100
    """Steps between resume checkpoints."""
    keep_checkpoints: Count = 2
    """Resume checkpoints that stay, the newest; they go when the phase is recorded. One is enough, the second is for a damaged one."""
    parallel: Literal["auto", "ddp", "fsdp2"] = "auto"
    """How several workers share a training: ``ddp`` has the whole model on each, ``fsdp2`` a part of it on each. ``auto``: fsdp2
    for a family that can and a model whose weights, gradients and optimiser take over 16 GiB. It changes the last bits of what comes
    out (with bf16 more than those), whereas the number of workers does not, so it stands here and not in the profile."""
    threads: Count = 1
    """Threads of a CPU worker."""
    seeds: Count = 1
    """Trainings of each model, alike but for the seed. The first is the model; what the gate suite says of the others tells how
    much of a gain is the seed's luck, and a gain within two standard errors of that luck is no gain."""


class PassAt(Section):
    """pass@k on the sealed suite."""

    k: Count = 8
    when: Literal["last", "always", "never"] = "last"
    """``last``: in the cycle whose number is the plan's ``cycles``."""
    temperature: Positive = 0.8


class Evaluator(Section):
    """The evaluate phase: greedy pass@1 on the gate and the sealed suite."""

    headline: tuple[Count, Count] = (4, 8)
    """First and last level of the headline score."""
    shard_tasks: Count = 256
    """Tasks a work item."""
    max_new_tokens: Count = 128
    pass_at: PassAt = PassAt()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.headline[0] > self.headline[1]:
            raise ValueError(f"headline {list(self.headline)} must not fall")
        return self


class Examiner(Section):
    """The examine phase: what the collapse card is measured on."""

    draws: Count = 256
    """Prompts of the frozen panel that each model answers once; human rows that it's scored on."""
    audit: Whole = 200
    """Accepted rows, and solved gate tasks, at most, that are run on inputs that no check has."""
    temperature: Positive = 0.8
    max_new_tokens: Count = 128
    shard_rows: Count = 64
    """Rows a work item."""


class Runtime(Section):
    """Where the work runs. It never changes an artifact, so it is no part of a phase key."""

    profile: str = "cluster/local.yaml"
    """A profile below ``cluster/``, or ``in-process``."""
    isolation: Literal["shared", "job"] = "shared"
    """``shared``: one Ray job for a run, its phases take turns in it. ``job``: each phase is a job of its own, so no worker process
    outlives it and nothing is cached between two; the next phase pays for its start (20 to 30 s)."""
    overlap: bool = False
    """Generate for the next cycle while this one trains, as if the gate were going to leave the champion where it is; what was made
    in vain is thrown away, and its cost recorded. For a cluster that has room for both (`map_labels`, `train_labels`), or a generator elsewhere."""
    sandbox_workers: Count | Literal["auto"] = "auto"
    """Candidates that run at once on the driver's host; ``auto``: one more than the processors it may use, so that none waits for the driver."""
    energy: Literal["auto", "none"] = "auto"
    """``auto``: what each phase draws is measured by counters where there are some (RAPL, NVML), and estimated elsewhere (codecarbon)."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    """ISO 3166-1 alpha-3: by whose electricity emissions are reckoned. None: they are not."""


class Versioning(Section):
    """What DVC does besides recording."""

    push: Literal["end", "cycle", "never"] = "end"
    """When objects go to the workspace's DVC remote: after the last cycle of a run, after each, or by hand."""


class Record(Section):
    """Where the record is written; it is published into ``ledger/`` in any case."""

    url: Annotated[str, Field(pattern=r"^postgresql\+pg8000://[^:@/?#\s]+@[^@\s]+$")] | None = None
    """None: SQLite, in the workspace. ``postgresql+pg8000://USER@HOST:PORT/DATABASE?schema=NAME`` (`loopwright.ledger.location`):
    for drivers on several hosts. It holds no password: that is taken from ``$PGPASSFILE`` or ``~/.pgpass``."""


class Placed(Section):
    """A model that was placed on the market or put into service, whose documentation the law wants kept."""

    cycle: Annotated[str, Field(pattern=r"^c\d{4,}$")]
    placed_on_market: date
    years: Count = 10
    """How long (EU AI Act, Article 18: 10 years; so do its Code of Practice's measures 1.1 and 10.1)."""


class Metrics(Section):
    """Where figures go besides the record."""

    tensorboard: bool = True
    mlflow: str | None = None
    """Tracking URI, for example ``https://…`` or ``sqlite:////path/to/mlflow.db``; needs the extra ``mlflow``."""
    wandb: str | None = None
    """Project; needs the extra ``wandb``, and a login or ``WANDB_MODE=offline``."""


class Plan(Section):
    """One loop, as a person decided it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = "lab"
    seed: Whole = 0
    """All randomness of the loop follows from it."""
    cycles: Count = 5
    """How many cycles `loopwright run` turns when it is not told."""
    domain: Plugin = Plugin(name="programs")
    model: Plugin = Plugin(name="tiny-transformer")
    sources: tuple[Source, ...] = ()
    """Human data besides the domain's own."""
    exclude: Exclude = Exclude()
    generator: Generator = Generator()
    verifier: Verifier = Verifier()
    mix: Mix = Mix()
    trainer: Trainer = Trainer()
    evaluator: Evaluator = Evaluator()
    examiner: Examiner = Examiner()
    gate: Gate = Gate()
    approvals: Approvals = Approvals()
    budgets: Budgets = Budgets()
    retention: tuple[Placed, ...] = ()
    """`loopwright gc` collects nothing that these need, nor anything of the cycles before them."""
    runtime: Runtime = Runtime()
    versioning: Versioning = Versioning()
    record: Record = Record()
    metrics: Metrics = Metrics()
    alerts: Alerts = Alerts()
    labeller: Labeller | None = None
    """A model elsewhere that says of judged rows what people are asked, too; None: nobody is asked."""

    @property
    def digest(self) -> Digest:
        """Identity of the decisions: all but where the work runs and is written down, how much of it, where figures are shown, and who is called or asked besides."""
        elsewhere = {"runtime", "record", "metrics", "versioning", "cycles", "budgets", "retention", "alerts", "labeller"}
        return digest_value(self.model_dump(mode="json", exclude=elsewhere))

    @property
    def policy(self) -> Digest:
        """Identity of what a promotion takes: how answers and models are checked, the gate's rules, and who has to sign."""
        checks = {"verifier", "evaluator", "examiner", "gate", "approvals"}
        return digest_value(self.model_dump(mode="json", include=checks))
