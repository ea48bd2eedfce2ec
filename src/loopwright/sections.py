"""What the phases of one cycle see of the plan: a section each, with nothing left open; it goes into the phase key."""

from __future__ import annotations

from loopwright.envelope import SignedEnvelope
from loopwright.external import Prompt
from loopwright.plan import Examiner, Generator, Mix, Plan, Source, Trainer, Verifier
from loopwright.policy import Count, Exclude, Gate, Positive, Section, Share
from loopwright.types import Digest, cycle_name

__all__ = [
    "CyclePlan",
    "DecideSection",
    "EvaluateSection",
    "ExamineSection",
    "FieldGap",
    "GenerateSection",
    "PassAtSection",
    "SeedSection",
    "TrainSection",
    "VerifySection",
    "generate_section",
    "resolve",
]


class SeedSection(Section):
    """What the seed phase sees."""

    sources: tuple[Source, ...]
    exclude: Exclude = Exclude()
    unsafe_no_hidden_tests: bool = False


class GenerateSection(Generator):
    """What the generate phase sees."""

    prompts: tuple[Prompt, ...] = ()


class VerifySection(Verifier):
    """What the verify phase sees."""

    prompts: tuple[Prompt, ...] = ()

    recipe_base: str
    """Text of the champion's ``recipe.yaml``, which a recipe proposal's diff must apply to."""
    human_floor: Share
    exclude: Exclude = Exclude()


class TrainSection(Trainer):
    """What the train phase sees."""

    recipe: str | None
    """Text of ``recipe.yaml`` for the first model; None later: the champion's or the archive's is used."""
    human_floor: Share
    """A recipe that asks for less human data than this gets this much."""


class PassAtSection(Section):
    """pass@k as resolved for a cycle."""

    k: Count
    temperature: Positive
    cycles: tuple[str, ...]
    """This cycle's name where it is asked for; else nothing."""


class EvaluateSection(Section):
    """What the evaluate phase sees."""

    headline: tuple[Count, Count]
    shard_tasks: Count
    max_new_tokens: Count
    pass_at: PassAtSection


class ExamineSection(Examiner):
    """What the examine phase sees."""

    sentinel_shard: Count
    """Gate tasks a work item, and tokens an answer, as the evaluate phase has them: the same lists of prompts, the same answers."""
    sentinel_tokens: Count


class FieldGap(Section):
    """Gate score of a model less what it did in the field, with a 95 % interval."""

    model: Digest
    value: float
    low: float
    high: float
    n: Count
    """Of the field result."""
    leaf: Count
    """The observation's entry in the log."""


class DecideSection(Gate):
    """What the decide phase sees."""

    headline: tuple[Count, Count]
    envelope: SignedEnvelope | None = None
    """As it was signed; None where there is none."""
    field: FieldGap | None = None
    """The latest that the record knew when the cycle opened."""


class CyclePlan(Section):
    """The plan of one cycle: a section a phase, nothing left to decide."""

    seed: SeedSection
    generator: GenerateSection
    verifier: VerifySection
    mix: Mix
    trainer: TrainSection
    evaluator: EvaluateSection
    examiner: ExamineSection
    gate: DecideSection


def generate_section(plan: Plan, prompts: tuple[Prompt, ...]) -> GenerateSection:
    """What the generate phase of any cycle sees."""
    return GenerateSection(**dict(plan.generator), prompts=prompts)


def resolve(
    plan: Plan,
    cycle: str,
    recipe: str,
    envelope: SignedEnvelope | None = None,
    field: FieldGap | None = None,
    prompts: tuple[tuple[Prompt, ...], tuple[Prompt, ...]] = ((), ()),
) -> CyclePlan:
    """The sections of one cycle; ``recipe`` is the text of the recipe in force, ``prompts`` are the generator's and the judge's."""
    wanted = {"last": cycle == cycle_name(plan.cycles), "always": True, "never": False}[plan.evaluator.pass_at.when]
    pass_at = PassAtSection(
        k=plan.evaluator.pass_at.k, temperature=plan.evaluator.pass_at.temperature, cycles=(cycle,) if wanted else ()
    )
    return CyclePlan(
        seed=SeedSection(
            sources=plan.sources, exclude=plan.exclude, unsafe_no_hidden_tests=plan.verifier.unsafe_no_hidden_tests
        ),
        generator=generate_section(plan, prompts[0]),
        verifier=VerifySection(
            **dict(plan.verifier) | {"prompts": prompts[1], "recipe_base": recipe, "exclude": plan.exclude},
            human_floor=plan.mix.human_floor,
        ),
        mix=plan.mix,
        trainer=TrainSection(
            **dict(plan.trainer), recipe=recipe if cycle == "c0000" else None, human_floor=plan.mix.human_floor
        ),
        evaluator=EvaluateSection(
            headline=plan.evaluator.headline,
            shard_tasks=plan.evaluator.shard_tasks,
            max_new_tokens=plan.evaluator.max_new_tokens,
            pass_at=pass_at,
        ),
        examiner=ExamineSection(
            **dict(plan.examiner),
            sentinel_shard=plan.evaluator.shard_tasks,
            sentinel_tokens=plan.evaluator.max_new_tokens,
        ),
        gate=DecideSection(**dict(plan.gate), headline=plan.evaluator.headline, envelope=envelope, field=field),
    )
