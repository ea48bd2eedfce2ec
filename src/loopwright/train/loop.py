"""The optimisation loop, by Lightning: one module, one stream of batches, one callback that reports and saves.

A step's batch is cut into shards, whatever the number of workers: one worker takes them one after the other and adds up the
gradients, several take some each and average. Each shard's loss is the sum over its tokens, divided by the tokens
of the whole batch, so the result is the same mean. Where shards do not come out even, a worker that has one less goes through
its last one again with no weight: every rank takes part in every exchange, and zeros change no sum.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from loopwright.errors import Preempted, TrainingDiverged
from loopwright.plugins import ModelFamily
from loopwright.runtime import Worker
from loopwright.runtime.checkpoints import asked_to_leave
from loopwright.train import sharding
from loopwright.train.checkpoints import read_checkpoint, state_of, step_of, write_checkpoint
from loopwright.train.counting import count_shard, positions
from loopwright.train.mixing import Mixture
from loopwright.train.strategies import Group, grouped, strategy_of

__all__ = ["learn"]

_REPORTS = 50
"""Progress reports a training, at most (each is a barrier of all ranks)."""
_LOOK_SECONDS = 1.0
"""About so often ranks meet to hear from rank 0 whether the driver wants the training to end; one alone looks after each step."""


def learn(
    family: ModelFamily, model: torch.nn.Module, mixture: Mixture, job: Mapping[str, Any], worker: Worker
) -> dict[str, Any]:
    """Train in place, from the last checkpoint where there is one; by step loss (nats a token), tokens learnt and tokens read.

    ``job["parallel"]`` is ``ddp`` or ``fsdp2``; a model that was cut up is whole again on rank 0 alone, in main memory.
    Also ``counted``: what torch counted of one shard (`loopwright.train.counting`); None where nothing was left to train.

    Raises:
        Preempted: the driver asked for an end; a checkpoint of the last step is there.
        TrainingDiverged: a gradient is not finite.
    """
    recipe = job["recipe"]
    learner = _Learner(family, model, recipe, worker, job["parallel"], worker.latest())
    if learner.start < recipe["steps"]:
        batches = _Batches(family, model, mixture, recipe["steps"], learner)
        with warnings.catch_warnings(), grouped(worker, job["parallel"]):
            # Lightning's own deprecations, and its advice for data loaders that we do not use
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            try:
                _trainer(worker, job, learner).fit(learner, batches)
            except SystemExit as end:
                if isinstance(end.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from end  # Lightning makes it exit code 1; what to do at Ctrl-C is the driver's
                raise
            if learner.cut:
                sharding.gather(family, model, keep=worker.rank == 0)
    history = learner.history()
    losses = history["losses"].sum(1) / history["tokens"]
    tokens, read = ([int(count) for count in history[name].tolist()] for name in ("tokens", "read"))
    return {"losses": losses.tolist(), "tokens": tokens, "read": read, "counted": learner.counted}


def dealt(shards: int, rank: int, ranks: int) -> range:
    """The shards of a rank: in order, and as even as they come."""
    share, more = divmod(shards, ranks)
    begin = rank * share + min(rank, more)
    return range(begin, begin + share + (rank < more))


def _trainer(worker: Worker, job: Mapping[str, Any], learner: _Learner) -> pl.Trainer:
    """As little of Lightning as does the work: no logger, bar, summary, validation or checkpoint of its own."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    device = torch.device(worker.device)
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        num_nodes=worker.world_size,
        strategy=strategy_of(worker, job["parallel"]),
        plugins=[Group(worker)],
        max_steps=job["recipe"]["steps"] - learner.start,
        accumulate_grad_batches=learner.rounds,
        callbacks=[_Reporter(worker, job["recipe"]["steps"], job["checkpoint_every"])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )


class _Learner(pl.LightningModule):
    """A model of any family with its loss, its optimiser, and what it has seen so far."""

    def __init__(
        self,
        family: ModelFamily,
        model: torch.nn.Module,
        recipe: Mapping[str, Any],
        worker: Worker,
        parallel: str,
        checkpoint: Path | None,
    ) -> None:
        super().__init__()
        self.model = model
        self.start = step_of(checkpoint) if checkpoint else 0
        self.mine = dealt(recipe["shards"], worker.rank, worker.world_size)
        """Numbers of the shards that this rank takes."""
        self.rounds = -(-recipe["shards"] // worker.world_size)
        """Shards that a rank goes through in a step, those without weight among them."""
        self.cut = parallel == "fsdp2"
        """Whether this rank holds a part of the model and not all of it."""
        self.counted: dict[str, Any] | None = None
        """Operations of one shard."""
        self._family, self._recipe, self._place = family, recipe, torch.device(worker.device)
        self._ranks, self._checkpoint = worker.world_size, checkpoint
        self._losses = torch.zeros(recipe["steps"], recipe["shards"], dtype=torch.float64)
        self._tokens, self._read = (torch.zeros(recipe["steps"], dtype=torch.float64) for _ in range(2))

    def configure_model(self) -> None:
        """Cut it up where that was chosen; Lightning has made the mesh of ranks by now."""
        if self.cut and self.device_mesh is not None:
            sharding.shard(self._family, self.model, self.device_mesh["data_parallel"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over what is trained, fresh, or with the model as the checkpoint left them: both are in their places by now."""
        recipe = self._recipe
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=recipe["lr"], betas=tuple(recipe["betas"]), weight_decay=recipe["weight_decay"], fused=True
        )
        if self._checkpoint:
            told = self._history()
            read_checkpoint(self._checkpoint, state_of(self.model, optimizer) | told)
            others = [shard for shard in range(recipe["shards"]) if shard not in self.mine]
            self._losses[:, others] = 0  # theirs to tell, when all add up what they know
        return optimizer

    def training_step(self, item: Mapping[str, Any], index: int) -> Tensor:
        """One shard. Lightning divides by a rank's rounds and the strategy by the ranks: this is the inverse of both."""
        if self.counted is None:
            self.counted = count_shard(self._family, self.model, item["batch"], cut=self.cut)
        if self.cut:
            sharding.sync(self.model, item["last"])
        total = self._family.loss(self.model, item["batch"])
        if not item["counts"]:
            return total * 0.0
        self._losses[item["step"], item["shard"]] = total.detach()
        self._tokens[item["step"]], self._read[item["step"]] = item["tokens"], item["read"]
        return total * (self.rounds * self._ranks / item["tokens"])

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Set the rate of this step, then do it."""
        for group in optimizer.param_groups:
            group["lr"] = self._rate(self.start + self.trainer.global_step)
        optimizer.step(closure=optimizer_closure)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip by norm, and stop where there is none. Every rank sees the same norm."""
        clipping = sharding.clip if self.cut else torch.nn.utils.clip_grad_norm_
        norm = clipping(self.parameters(), self._recipe["clip"])
        if not torch.isfinite(norm):
            raise TrainingDiverged(
                f"the gradient at step {self.start + self.trainer.global_step} is {norm.item()}",
                "lower the recipe's lr or raise its warmup (`loopwright propose`), then run again",
            )

    def history(self) -> dict[str, Tensor]:
        """Sum of losses by step and shard, tokens learnt and read by step; the same on all ranks, each of which knows its own shards."""
        losses = self._losses.clone()
        if len(self.mine) < self._recipe["shards"]:
            shared = losses.to(self._place)  # NCCL knows no other
            torch.distributed.all_reduce(shared)
            losses = shared.cpu()
        return {"losses": losses, "tokens": self._tokens, "read": self._read}

    def state(self) -> dict[str, Tensor]:
        """All that a resume needs; every rank takes part."""
        optimizer = self.trainer.optimizers[0]
        return state_of(self.model, optimizer) | {f"history/{name}": tensor for name, tensor in self.history().items()}

    def _history(self) -> dict[str, Tensor]:
        return {"history/losses": self._losses, "history/tokens": self._tokens, "history/read": self._read}

    def loss(self, step: int) -> float:
        """Of this rank's shards at a step, in nats a token, as if the others' were like them."""
        share = len(self.mine) / self._recipe["shards"]
        return float(self._losses[step, list(self.mine)].sum() / (self._tokens[step] * share))

    def _rate(self, step: int) -> float:
        """Linear warm-up, then linear decay to the recipe's floor."""
        recipe = self._recipe
        if step < recipe["warmup"]:
            return recipe["lr"] * (step + 1) / recipe["warmup"]
        gone = (step - recipe["warmup"]) / max(1, recipe["steps"] - recipe["warmup"])
        return recipe["lr"] * (1 - (1 - recipe["floor"]) * gone)


class _Batches:
    """This rank's shards of every step that is left, in order, each with the tokens of the whole step."""

    def __init__(self, family: ModelFamily, model: torch.nn.Module, mixture: Mixture, steps: int, learner: _Learner) -> None:
        self._family, self._model, self._mixture = family, model, mixture
        self._steps, self._mine, self._rounds = range(learner.start, steps), learner.mine, learner.rounds

    def __len__(self) -> int:
        return len(self._steps) * self._rounds

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for step in self._steps:
            shards = [self._family.collate(self._model, rows) for rows in self._mixture.at(step)]
            tokens = sum(int(batch["weight"].sum()) for batch in shards)
            told = {"step": step, "tokens": tokens, "read": sum(map(positions, shards))}
            for turn in range(self._rounds):
                shard = self._mine[min(turn, len(self._mine) - 1)]
                order = {"counts": turn < len(self._mine), "last": turn == self._rounds - 1}
                yield {"batch": shards[shard], "shard": shard, **told, **order}


class _Reporter(pl.Callback):
    """Tells the driver how far it is, and saves every so many steps. Every rank reports equally often."""

    def __init__(self, worker: Worker, steps: int, every: int) -> None:
        self._worker, self._steps, self._every = worker, steps, every
        self._often = max(1, steps // _REPORTS)
        self._look, self._looked, self._since = 0, 0, time.monotonic()
        self._at_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has put itself between SIGTERM and the driver, which knows better what to do at it."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._at_sigterm)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After the last shard of a step."""
        done = batch["step"] + 1
        if not batch["last"]:
            return
        leave = done < self._steps and self._asked_to_leave(done)
        save = leave or (done % self._every == 0 and done < self._steps)
        if not save and done % self._often and done < self._steps:
            return
        directory = self._save(pl_module, done) if save else None
        self._worker.report({"step": done, "steps": self._steps, "loss": pl_module.loss(done - 1)}, directory)
        if leave:
            raise Preempted(
                f"told to end in the train phase; saved at step {done} of {self._steps}", "`loopwright run` goes on from there"
            )

    def _asked_to_leave(self, done: int) -> bool:
        """The same answer on every rank: rank 0 looks, and says after which step all meet again."""
        if done < self._look:
            return False
        now = time.monotonic()
        pace = (done - self._looked) / max(now - self._since, 1e-9) if self._worker.world_size > 1 else 0.0
        self._looked, self._since = done, now
        asked, self._look = self._worker.agree((asked_to_leave(self._worker.storage), done + max(1, int(pace * _LOOK_SECONDS))))
        return asked

    def _save(self, learner: _Learner, done: int) -> Any:
        state, rank = learner.state(), self._worker.rank
        if rank and not learner.cut:
            return None
        directory = write_checkpoint(self._worker.storage, done, state, rank=rank, together=learner.cut)
        return None if rank else directory
