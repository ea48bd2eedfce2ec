"""The policy: what a challenger has to show, and at which figures of a cycle the lights go on. A section of the plan.

A policy is values; `loopwright.gate` applies it. It stands apart from the rest of the plan because whoever changes it changes
what a promotion means.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Alerts",
    "Approvals",
    "Budgets",
    "Card",
    "Count",
    "Exclude",
    "Gate",
    "Light",
    "Positive",
    "Quorum",
    "Section",
    "Share",
    "Whole",
    "Witnesses",
]

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A part of the plan: closed to unknown keys, strict about types, frozen. Values only, no behaviour."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class Light(Section):
    """When one figure is alarming. A warning goes by the value; a stop needs the whole interval, so that chance stops no loop."""

    bad: Literal["above", "below"]
    """On which side of the limits it's bad."""
    warn: float | None = None
    """Beyond this the decision says so."""
    stop: float | None = None
    """With its interval wholly beyond this the loop halts."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.warn is not None and self.stop is not None and (self.stop > self.warn) != (self.bad == "above"):
            raise ValueError(f"stop {self.stop} must lie beyond warn {self.warn} (bad: {self.bad})")
        return self


class Card(Section):
    """Rules for the collapse card, one a figure. Diversity by n-grams has none on purpose: it rises while a model collapses."""

    real_cross_entropy: Light = Light(bad="above", warn=1.02, stop=1.05)
    """On frozen human data, ÷ the first model's (Shumailov et al., Nature 631 (2024) 755)."""
    generated_tails: Light = Light(bad="above", warn=0.10, stop=0.20)
    """Share of samples in the thinner of the two tails of the first model's perplexity; 0.05 at the start."""
    rare_recall: Light = Light(bad="below", warn=0.9, stop=0.5)
    """Share of rare types of human data that the samples still contain, ÷ the first model's."""
    behaviours: Light = Light(bad="below", warn=0.8, stop=0.5)
    """Samples that behave differently from one another, ÷ the first model's."""
    vendi: Light = Light(bad="below", warn=0.7, stop=0.4)
    """Effective number of different samples (Friedman and Dieng 2023), ÷ the first model's."""
    entropy: Light = Light(bad="below", warn=0.1)
    """Surprisal of the model's own samples, ÷ the first model's: it tells little early, so it stops nothing."""
    human_share: Light = Light(bad="below", warn=0.10)
    """Human rows in each training batch."""
    proxy_gold_gap: Light = Light(bad="above", warn=0.10, stop=0.20)
    """What the verifier passes, less what the gate suite passes, of the same generator at the same levels: a reward hack."""
    label_precision: Light = Light(bad="below", warn=0.99, stop=0.95)
    """Of accepted rows, those that are also right on inputs that no check has."""
    gate_precision: Light = Light(bad="below", warn=0.99, stop=0.95)
    """The same of gate tasks that count as solved: a hole in the gate's own judge."""
    false_accept: Light = Light(bad="above", warn=0.05, stop=0.10)
    """Of answers known to be wrong, those that the verifier accepts."""
    sentinel: Light = Light(bad="above", warn=0.0, stop=0.02)
    """Of the first model's gate verdicts, those that come out otherwise now: the evaluator has changed."""
    amplification: Light = Light(bad="above", warn=0.20)
    """The gap between the best and the worst slice, less the first model's."""
    self_preference: Light = Light(bad="above", warn=0.10, stop=0.20)
    """Where a model judges: how much more often it prefers its own family's answers where people see no difference."""
    unsafe_only_say: bool = False
    """Stops are said and don't halt: for control arms, which are there to go wrong."""


class Gate(Section):
    """The policy of the decide phase."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Chance of any wrong promotion over all cycles of the loop together."""
    min_gain: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Least paired gain on the gate suite for a promotion."""
    max_drop: Share = 0.05
    """Largest fall on the levels below the headline, and below the best gate score so far."""
    max_slice_drop: Share = 0.10
    """Largest fall of any level, and of any slice that the domain names, where it's more than two standard errors."""
    max_jump: Share = 0.25
    """A larger paired gain in one cycle is held for a person."""
    field_gap: Light = Light(bad="above", warn=0.10, stop=0.20)
    """Gate score less what the same model did in the field (`loopwright observe`): beyond ``stop`` with its whole interval, a promotion
    is held for a person. The sealed score has no part in it: it steers nothing."""
    gate_uses: Count = 50
    """Looks at the gate suite after which it counts as worn out, and decisions say so."""
    card: Card = Card()


class Exclude(Section):
    """What may not be learnt from: a recall's retrain plan fills it in (`loopwright recall`)."""

    rows: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")], ...] = ()
    """Rows by what they say (`loopwright.store.tables.content_id`), whoever offers them."""
    licences: tuple[str, ...] = ()
    """Human data under these licences."""
    recall: str | None = None
    """Digest of the retrain plan that asked for it."""


class Quorum(Section):
    """How many distinct persons have to sign, and which duties must be among them."""

    persons: Count = 1
    duties: tuple[str, ...] = ()
    """Each of these duties must be held by one of the signers, for example ``safety``."""


class Witnesses(Section):
    """Who outside must have seen the log before a promotion takes effect; persons sign what, witnesses that it is the one log."""

    required: Whole = 0
    """So many of ``known`` must have cosigned a checkpoint that covers the decision. 0: none, and the record says so."""
    known: tuple[Annotated[str, Field(pattern=r"^[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$")], ...] = ()
    """Verifier keys of the witnesses that count, as `loopwright witness init` prints them."""
    within_hours: Positive = 24.0
    """A cosignature counts for so long; after that the witness has to look again."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.required > len(set(self.known)):
            raise ValueError(f"{self.required} witnesses are required and {len(set(self.known))} named: give their keys")
        return self


class Approvals(Section):
    """Who has to sign what. The proposer, the launcher and the owner of a proposing agent never count."""

    ordinary: Quorum = Quorum()
    """Recipes, held promotions, lifting a halt."""
    strict: Quorum = Quorum(persons=2)
    """Changes of gate, policy, verifier, sandbox or envelope, lifting a freeze."""
    promote_inside: Literal["automatic", "person"] = "automatic"
    """Of a promotion inside the signed envelope: whether a person signs it as well. Without an envelope the gate alone decides."""
    expires_hours: Positive = 72.0
    """A request that is not carried out by then is void."""
    canaries: Share = 0.0
    """Chance that a run which asks persons also plants a request that is known to be bad and can't be carried out, to measure
    how many of them are caught (`loopwright keys trust`)."""
    witness: Witnesses = Witnesses()
    """Who outside must have seen a decision before it promotes anything."""


class Budgets(Section):
    """What the loop may use up before it halts by itself (exit 6); None: no limit. Counted from the record, over the whole loop."""

    cycles: Count | None = None
    wall_hours: Positive | None = None
    flop: Positive | None = None
    energy_kwh: Positive | None = None
    money: Positive | None = None
    """In the currency of ``money_per_hour`` and of the endpoints' prices."""
    money_per_hour: Positive | None = None
    """What an hour of the machines costs."""
    watts: Positive | None = None
    """What the machines draw, for an estimate where energy is not measured."""


class Alerts(Section):
    """When the loop calls somebody. It only tells: what halts a loop is elsewhere. Where to is no part of the plan (`loopwright alerts`)."""

    stop: bool = True
    """At a halt, a freeze, a failed phase, or a light of the collapse card at stop."""
    waiting_hours: Positive | None = 1.0
    """When a request has waited for persons so long; None: never."""
    drift_cycles: Count | None = 3
    """When the same light of the collapse card was at warning in so many cycles in a row; None: never."""
    budget: Share | None = 0.8
    """When this share of a budget is used; None: never."""
    integrity: bool = True
    """When the record is not what was signed."""
