"""Every error that a person may meet, as one tree.

    LoopwrightError                     exit
    ├── UsageError                      2    a command cannot be carried out as typed
    │   ├── PlanError                   2    loop.yaml (file:line:key, value seen, what is allowed)
    │   ├── WorkspaceError              2    not a workspace, no git, dirty, plan changed within a cycle
    │   └── PluginError                 2    a name that no installed package answers to
    ├── PhaseError                      1    a phase failed; the attempt is on the record, never a score
    │   ├── InfraError                  1    disk, memory, worker or sandbox: not the candidate's fault
    │   └── TrainingDiverged            1    the loss is NaN or infinite
    ├── RefusedError                    3    the answer is no (`check`, `report check`, `run --until-promoted`)
    ├── WaitingForPerson                4    an approval is needed; run again after it
    ├── IntegrityError                  5    bytes differ from the record
    │   └── CanaryError                 5    the verifier misjudged a job whose verdict is known
    ├── HaltedError                     6    budget, stop rule or a person's halt
    ├── LeaseHeld                       7    another driver works on this workspace
    └── Preempted                     143    SIGTERM: the machine is wanted back; run again, here or elsewhere

A halt is 6 whoever called it (a person, a budget, a gate's stop rule) and until persons let the loop go on, although it waits for
them: who watches the exit code is told that the loop was stopped. 4 is for what waits without having been stopped: a held model, a
promotion that no witness has seen, a changed policy or judge, frozen admission (which only the strict quorum opens again).

A message says what is wrong and where; ``next_step`` says what to do. All of them pickle, since they cross processes.
"""

from __future__ import annotations

__all__ = [
    "CanaryError",
    "HaltedError",
    "InfraError",
    "IntegrityError",
    "LeaseHeld",
    "LoopwrightError",
    "PhaseError",
    "PlanError",
    "PluginError",
    "Preempted",
    "RefusedError",
    "TrainingDiverged",
    "UsageError",
    "WaitingForPerson",
    "WorkspaceError",
]


class LoopwrightError(Exception):
    """Base of all errors that are shown without a traceback."""

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.next_step}" if self.next_step else self.message


class UsageError(LoopwrightError):
    """The command cannot be carried out as it was typed."""

    exit_code = 2


class PlanError(UsageError):
    """The plan says something that it may not say."""


class WorkspaceError(UsageError):
    """The folder is not a workspace, or not in a state from which a run may go on."""


class PluginError(UsageError):
    """No installed package, or more than one, answers to a name in the plan."""


class PhaseError(LoopwrightError):
    """A phase failed; the failed attempt is on the record."""


class InfraError(PhaseError):
    """The machine failed (disk, memory, a worker, the sandbox): never a verdict and never a score."""


class TrainingDiverged(PhaseError):
    """The loss became NaN or infinite."""


class RefusedError(LoopwrightError):
    """The work ran and the answer is no."""

    exit_code = 3


class WaitingForPerson(LoopwrightError):
    """A person's signature is needed before the loop may go on."""

    exit_code = 4


class IntegrityError(LoopwrightError):
    """Bytes on disk differ from the signed record."""

    exit_code = 5


class CanaryError(IntegrityError):
    """The verifier misjudged a job whose verdict is known: nothing that it says counts until a person knows why."""

    def __init__(self, message: str, next_step: str = "", suspects: tuple[str, ...] = ()) -> None:
        super().__init__(message, next_step)
        self.suspects = suspects
        """Names of the verdicts since the last canary that came back right."""


class HaltedError(LoopwrightError):
    """A budget, a stop rule or a person ended the loop."""

    exit_code = 6


class LeaseHeld(LoopwrightError):
    """Another driver holds the lease of this workspace."""

    exit_code = 7


class Preempted(LoopwrightError):
    """The driver was told to end (SIGTERM); what is done is kept. The code is the one that a shell gives for this signal."""

    exit_code = 143
