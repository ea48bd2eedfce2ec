"""The optimisation loop, by Lightning: one module, one stream of batches, one callback that reports and saves.

A step's batch is cut into shards, whatever the number of workers: one worker takes them one after the other and adds up the
gradients, several take some each and DDP averages. Each shard's loss is the sum over its tokens, divided by the tokens
of the whole batch, so the result is the same mean.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor

from loopwright.errors import InfraError, TrainingDiverged
from loopwright.plugins import ModelFamily
from loopwright.runtime import Worker
from loopwright.train.checkpoints import read_checkpoint, restore_optimizer, write_checkpoint
from loopwright.train.counting import count_shard, positions
from loopwright.train.mixing import Mixture

__all__ = ["learn"]

_REPORTS = 50
"""Progress reports a training, at most (each is a barrier of all ranks)."""


def learn(
    family: ModelFamily, model: torch.nn.Module, mixture: Mixture, job: Mapping[str, Any], worker: Worker
) -> dict[str, Any]:
    """Train in place, from the last checkpoint where there is one; by step loss (nats a token), tokens learnt and tokens read.

    Also ``counted``: what torch counted of one shard (`loopwright.train.counting`); None where nothing was left to train.
    """
    recipe = job["recipe"]
    learner = _Learner(family, model, recipe, worker)
    latest = worker.latest()
    if latest is not None:
        learner.resume(*read_checkpoint(latest))
    if learner.start < recipe["steps"]:
        batches = _Batches(family, model, mixture, recipe["steps"], learner.start, learner.mine)
        with warnings.catch_warnings():
            # Lightning's own deprecations, and its advice for data loaders that we do not use
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            try:
                _trainer(worker, recipe, learner, job["checkpoint_every"]).fit(learner, batches)
            except SystemExit as end:
                if isinstance(end.__context__, KeyboardInterrupt):
                    raise KeyboardInterrupt from end  # Lightning makes it exit code 1; what to do at Ctrl-C is the driver's
                raise
    history = learner.history()
    losses = history["losses"].sum(1) / history["tokens"]
    tokens, read = ([int(count) for count in history[name].tolist()] for name in ("tokens", "read"))
    return {"losses": losses.tolist(), "tokens": tokens, "read": read, "counted": learner.counted}


def _trainer(worker: Worker, recipe: Mapping[str, Any], learner: _Learner, every: int) -> pl.Trainer:
    """As little of Lightning as does the work: no logger, bar, summary, validation or checkpoint of its own."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    device = torch.device(worker.device)
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        num_nodes=worker.world_size,
        strategy=_strategy(worker, device),
        max_steps=recipe["steps"] - learner.start,
        accumulate_grad_batches=len(learner.mine),
        callbacks=[_Reporter(worker, recipe["steps"], every)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )


def _strategy(worker: Worker, device: torch.device) -> Strategy:
    if worker.world_size == 1:
        return SingleDeviceStrategy(device)
    if not torch.distributed.is_initialized():
        raise InfraError(f"{worker.world_size} workers without a process group", "the executor starts it before training")
    return DDPStrategy(
        parallel_devices=[device],
        cluster_environment=_Group(worker),
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
    )


class _Learner(pl.LightningModule):
    """A model of any family with its loss, its optimiser, and what it has seen so far."""

    def __init__(self, family: ModelFamily, model: torch.nn.Module, recipe: Mapping[str, Any], worker: Worker) -> None:
        super().__init__()
        share = recipe["shards"] // worker.world_size
        self.model = model
        self.start = 0
        self.mine = range(worker.rank * share, (worker.rank + 1) * share)
        """Numbers of the shards that this rank takes."""
        self.counted: dict[str, Any] | None = None
        """Operations of one shard."""
        self._family, self._recipe, self._place = family, recipe, torch.device(worker.device)
        self._losses = torch.zeros(recipe["steps"], recipe["shards"], dtype=torch.float64)
        self._tokens, self._read = (torch.zeros(recipe["steps"], dtype=torch.float64) for _ in range(2))
        self._optimizer: Mapping[str, Tensor] = {}

    def resume(self, step: int, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on from a checkpoint; the optimiser follows once it exists."""
        self.start = step
        self.model.load_state_dict(parts["model"])
        self._tokens, self._read = parts["history"]["tokens"], parts["history"]["read"]
        self._losses = torch.zeros_like(self._losses)
        self._losses[:, list(self.mine)] = parts["history"]["losses"][:, list(self.mine)]
        self._optimizer = parts["optimizer"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW over all parameters, fresh or as the checkpoint left it."""
        recipe = self._recipe
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=recipe["lr"], betas=tuple(recipe["betas"]), weight_decay=recipe["weight_decay"], fused=True
        )
        if self._optimizer:
            restore_optimizer(optimizer, self._optimizer)
        return optimizer

    def training_step(self, item: Mapping[str, Any], index: int) -> Tensor:
        """One shard. Lightning divides by the shards of this rank and DDP by the ranks: together by ``shards``."""
        if self.counted is None:
            self.counted = count_shard(self._family, self.model, item["batch"])
        total = self._family.loss(self.model, item["batch"])
        self._losses[item["step"], item["shard"]] = total.detach()
        self._tokens[item["step"]], self._read[item["step"]] = item["tokens"], item["read"]
        return total * (self._recipe["shards"] / item["tokens"])

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Set the rate of this step, then do it."""
        for group in optimizer.param_groups:
            group["lr"] = self._rate(self.start + self.trainer.global_step)
        optimizer.step(closure=optimizer_closure)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip by norm, and stop where there is none. After DDP's averaging every rank sees the same norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self._recipe["clip"])
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
    """This rank's shards of every step from ``start``, in order, each with the tokens of the whole step."""

    def __init__(
        self, family: ModelFamily, model: torch.nn.Module, mixture: Mixture, steps: int, start: int, mine: range
    ) -> None:
        self._family, self._model, self._mixture = family, model, mixture
        self._steps, self._mine = range(start, steps), mine

    def __len__(self) -> int:
        return len(self._steps) * len(self._mine)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for step in self._steps:
            shards = [self._family.collate(self._model, rows) for rows in self._mixture.at(step)]
            tokens = sum(int(batch["weight"].sum()) for batch in shards)
            read = sum(map(positions, shards))
            for shard in self._mine:
                yield {"batch": shards[shard], "shard": shard, "step": step, "tokens": tokens, "read": read}


class _Reporter(pl.Callback):
    """Tells the driver how far it is, and saves every so many steps. Every rank reports equally often."""

    def __init__(self, worker: Worker, steps: int, every: int) -> None:
        self._worker, self._steps, self._every = worker, steps, every
        self._often = max(1, steps // _REPORTS)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """After the last shard of a step."""
        done = batch["step"] + 1
        if batch["shard"] != pl_module.mine[-1]:
            return
        save = done % self._every == 0 and done < self._steps
        if not save and done % self._often and done < self._steps:
            return
        directory = self._save(trainer, pl_module, done) if save else None
        self._worker.report({"step": done, "steps": self._steps, "loss": pl_module.loss(done - 1)}, directory)

    def _save(self, trainer: pl.Trainer, learner: _Learner, done: int) -> Any:
        history = learner.history()  # all ranks take part
        if self._worker.rank:
            return None
        return write_checkpoint(self._worker.storage, done, learner.model, trainer.optimizers[0], history)


class _Group(ClusterEnvironment):
    """The executor's process group as Lightning wants to see it: each rank is a node of its own with one device."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        raise InfraError("Lightning asked for an address although the process group stands", "report this as a defect")

    @property
    def main_port(self) -> int:
        raise InfraError("Lightning asked for a port although the process group stands", "report this as a defect")

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._worker.world_size

    def set_world_size(self, size: int) -> None:
        """Fixed by the executor."""

    def global_rank(self) -> int:
        return self._worker.rank

    def set_global_rank(self, rank: int) -> None:
        """Fixed by the executor."""

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return self._worker.rank
