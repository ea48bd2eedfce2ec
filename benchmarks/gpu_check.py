"""What only a GPU can show, in one command: `make gpu-check`, on a machine that has one. Prints what passed, failed, or cannot be shown there.

    python benchmarks/gpu_check.py [--model FOLDER] [--only NAME ...] [--keep]
    python benchmarks/gpu_check.py --rehearse          # the same steps on CPUs by gloo: it checks this script, and no GPU

Each training runs in processes of its own, one a GPU, that meet by NCCL as the executor's ranks do. What is compared is the train phase
against a plain PyTorch loop on the same device, and many GPUs against one. Tolerances are for float32 without TF32, which this
script turns off. ``--model`` takes a Llama- or Qwen-style folder in place of a tiny model that is made on the fly.

Exit codes: 0 nothing failed (some may not be possible here) · 1 something failed · 2 there is no GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from loopwright.energy import open_meter  # noqa: E402  # the repository's root first: `tests` has the tiny model
from loopwright.plugins import Alphabet, load_family  # noqa: E402
from loopwright.store.tables import ROWS, write_table  # noqa: E402
from loopwright.train.fit import fit  # noqa: E402
from loopwright.train.mixing import read_mixture  # noqa: E402
from loopwright.types import seed_of  # noqa: E402

RECIPE = {
    "steps": 10,
    "batch": 8,
    "shards": 4,
    "lr": 0.005,
    "warmup": 2,
    "betas": [0.9, 0.98],
    "weight_decay": 0.05,
    "clip": 0.5,
    "floor": 0.1,
    "human_share": 0.5,
}
CLOSE = 1e-4
"""Relative difference of losses after ten steps in float32: sums in another order, other kernels for other shapes."""
ROUGH = 0.05
"""The same in bfloat16, whose numbers have three digits."""
PATIENCE = 600.0
"""Seconds that the ranks of one training get."""


class NotHere(Exception):
    """What a check needs and this machine lacks."""


@dataclass(kw_only=True)
class Site:
    """Where the checks run, and what they have made so far."""

    folder: Path
    model: Path
    gpus: int
    """None of them in a rehearsal, in which CPUs stand for two."""
    done: dict[str, Any]

    @property
    def ranks(self) -> int:
        return min(self.gpus, 4) or 2

    @property
    def kind(self) -> str:
        return "cuda" if self.gpus else "cpu"

    def many(self) -> int:
        """Ranks of a training over several GPUs."""
        if self.ranks < 2:
            raise NotHere("one GPU; this needs two")
        return self.ranks

    def job(self, name: str, parallel: str, **settings: Any) -> dict[str, Any]:
        """A training of ten steps; with another ``name`` it begins anew."""
        family = {"name": "causal-lm", "settings": {"path": str(self.model), "tuning": "full", **settings}}
        rows = self.folder / "rows"
        if not rows.exists():
            write_rows(rows)
        return {
            "key": name, "storage": str(self.folder), "family": family, "model": None, "rows": [str(rows / "one"), str(rows / "two")],
            "alphabet": {"words": [], "lexemes": ["x"]}, "recipe": RECIPE, "seed": 5, "threads": 1, "checkpoint_every": 4,
            "parallel": parallel,
        }  # fmt: skip

    def once(self, name: str, ranks: int, parallel: str, **settings: Any) -> Mapping[str, Any]:
        """The result of such a training, run when it is first asked for."""
        if name not in self.done:
            self.done[name] = train(self, self.job(name, parallel, **settings), ranks)
        return self.done[name]


def write_rows(folder: Path) -> None:
    """Letters to be reversed: rows by people, and by a model."""
    plain = dict.fromkeys(ROWS, "")
    for name, length, origin in (("one", 3, "human"), ("two", 4, "sha256:" + "0" * 64)):
        words = [f"{number:0{length}b}".replace("0", "a").replace("1", "b") for number in range(2**length)]
        made = [
            plain | {"id": word, "prompt": " ".join(word), "answer": word[::-1].upper(), "level": 1, "origin": origin}
            for word in words
        ]
        write_table(folder / name / "rows.parquet", ROWS, made)


def train(site: Site, job: Mapping[str, Any], ranks: int, dies_at: int = 0) -> Mapping[str, Any]:
    """Rank 0's result of the job on so many processes, a GPU each."""
    with tempfile.TemporaryDirectory(dir=site.folder) as meeting:
        (Path(meeting) / "job.json").write_text(json.dumps(job))
        command = [sys.executable, __file__, "--rank", meeting, str(ranks), str(dies_at)]
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(site.gpus)))).split(",")
        processes = []
        for rank in range(ranks):
            seen = {"CUDA_VISIBLE_DEVICES": devices[rank]} if site.gpus else {}
            environment = {**os.environ, **seen, "GPU_CHECK_RANK": str(rank), "GPU_CHECK_KIND": site.kind}
            processes.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            )
        try:
            said = [process.communicate(timeout=PATIENCE)[1] for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(process.returncode for process in processes):
            raise RuntimeError("\n".join(text[-2000:] for text in said))
        answer = Path(meeting) / "answer.json"
        return json.loads(answer.read_text()) if answer.exists() else {}


def exactly() -> None:
    """Float32 as it is written, on one thread."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1)


def one_rank(meeting: Path, ranks: int, dies_at: int) -> None:
    """What `train` starts: one rank, with checkpoints as the executor keeps them."""
    from loopwright.runtime.checkpoints import latest, register

    exactly()
    rank, kind = int(os.environ["GPU_CHECK_RANK"]), os.environ["GPU_CHECK_KIND"]
    backend = "nccl" if kind == "cuda" else "gloo"
    device = {"device_id": torch.device("cuda:0")} if kind == "cuda" else {}
    torch.distributed.init_process_group(backend, init_method=f"file://{meeting}/m", rank=rank, world_size=ranks, **device)
    job = json.loads((meeting / "job.json").read_text())
    storage = Path(job["storage"]) / job["key"]
    storage.mkdir(exist_ok=True)

    class Rank:
        def __init__(self) -> None:
            self.rank, self.world_size, self.storage = rank, ranks, storage
            self.device = "cuda:0" if kind == "cuda" else "cpu"
            self.steps: list[int] = []

        def report(self, metrics: Mapping[str, float], directory: Path | None = None) -> None:
            self.steps.append(int(metrics["step"]))
            if directory is not None:
                register(directory)
            torch.distributed.barrier()
            if metrics["step"] == dies_at:
                os._exit(0)

        def latest(self) -> Path | None:
            torch.distributed.barrier()
            return latest(storage)

        def agree(self, value: Any) -> Any:
            said = [value]
            torch.distributed.broadcast_object_list(said)
            return said[0]

    worker = Rank()
    result = fit(job, worker)
    if rank == 0:
        (meeting / "answer.json").write_text(json.dumps({**result, "steps": worker.steps}))
    torch.distributed.destroy_process_group()


def plain(site: Site) -> list[float]:
    """Losses of a PyTorch loop without any of ours but the model and the rows."""
    exactly()
    job = site.job("plain", "ddp")
    family = load_family(job["family"]["name"], job["family"]["settings"])
    model = family.create(Alphabet(words=(), lexemes=("x",)), seed_of(5, "model")).to(site.kind)
    mixture = read_mixture(job["rows"], RECIPE["batch"], RECIPE["shards"], 0.5, seed_of(5, "mixture"))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=1.0, betas=tuple(RECIPE["betas"]), weight_decay=RECIPE["weight_decay"], fused=True
    )
    losses = []
    for step in range(RECIPE["steps"]):
        shards = [family.collate(model, rows) for rows in mixture.at(step)]
        tokens = sum(int(shard["weight"].sum()) for shard in shards)
        optimizer.zero_grad()
        parts = [family.loss(model, shard) for shard in shards]
        for part in parts:
            (part / tokens).backward()
        torch.nn.utils.clip_grad_norm_(weights, RECIPE["clip"])
        after = (step - RECIPE["warmup"]) / (RECIPE["steps"] - RECIPE["warmup"])
        share = (step + 1) / RECIPE["warmup"] if step < RECIPE["warmup"] else 1 - (1 - RECIPE["floor"]) * after
        optimizer.param_groups[0]["lr"] = RECIPE["lr"] * share
        optimizer.step()
        losses.append(sum(part.item() for part in parts) / tokens)
    return losses


def near(one: list[float], other: list[float], bar: float) -> str:
    """How far the losses are apart; AssertionError where it is too far, or where nothing was learnt."""
    apart = max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))
    assert apart <= bar, f"losses differ by {apart:.1e}, allowed {bar:.0e}: {one} against {other}"
    assert one[-1] < one[0], f"nothing was learnt: {one}"
    return f"losses within {apart:.1e}"


def replica(site: Site) -> str:
    """The train phase on one device is a plain loop."""
    return near(site.once("one", 1, "ddp")["losses"], plain(site), CLOSE)


def cut_alone(site: Site) -> str:
    """FSDP2 on one device is a plain loop, too."""
    return near(site.once("cut-one", 1, "fsdp2")["losses"], site.once("one", 1, "ddp")["losses"], CLOSE)


def replicas(site: Site) -> str:
    """DDP over many is one."""
    ranks = site.many()
    return f"{ranks} ranks, " + near(site.once("ddp", ranks, "ddp")["losses"], site.once("one", 1, "ddp")["losses"], CLOSE)


def cut(site: Site) -> str:
    """FSDP2 over many is one."""
    ranks = site.many()
    return f"{ranks} ranks, " + near(site.once("cut", ranks, "fsdp2")["losses"], site.once("one", 1, "ddp")["losses"], CLOSE)


def adapters(site: Site) -> str:
    """LoRA on a frozen base in bfloat16, recomputed activations, cut up over all there are."""
    settings = {"tuning": "lora", "bf16": True, "gradient_checkpointing": True}
    losses = site.once("lora", site.ranks, "fsdp2", **settings)["losses"]
    return near(losses, site.once("lora-one", 1, "ddp", tuning="lora")["losses"], ROUGH)


def bfloat(site: Site) -> str:
    """All weights in bfloat16 on the way, trained in float32."""
    return near(site.once("bf16", site.ranks, "fsdp2", bf16=True)["losses"], site.once("one", 1, "ddp")["losses"], ROUGH)


def resharding(site: Site) -> str:
    """Killed on all devices, resumed on one."""
    from loopwright.runtime.checkpoints import latest

    whole, job = site.once("cut-one", 1, "fsdp2")["losses"], site.job("moved", "fsdp2")
    assert train(site, job, site.ranks, dies_at=6) == {}
    saved = latest(site.folder / "moved")
    assert saved is not None
    assert len(list(saved.glob("state-*.safetensors"))) == site.ranks
    moved = train(site, job, 1)
    assert moved["steps"][0] == 5, f"it began at step {moved['steps'][0]}"
    return f"{site.ranks} to 1, " + near(moved["losses"], whole, CLOSE)


def resumption(site: Site) -> str:
    """Killed and resumed on the same devices: the same losses, bit for bit, where kernels are deterministic."""
    job = site.job("again", "fsdp2")
    assert train(site, job, site.ranks, dies_at=6) == {}
    again, whole = train(site, job, site.ranks)["losses"], site.once("whole", site.ranks, "fsdp2")["losses"]
    return "the same bits" if again == whole else near(again, whole, CLOSE)


def generation(site: Site) -> str:
    """Greedy answers are a CPU's, but where two tokens tie within rounding; drawn ones are the same twice."""
    exactly()
    family = load_family("causal-lm", {"path": str(site.model), "tuning": "full"})
    prompts = [" ".join(f"{number:05b}".replace("0", "a").replace("1", "b")) for number in range(32)]
    model = family.create(Alphabet(words=(), lexemes=("x",)), 0)
    found = family.sample(model, prompts, [0] * 32, 0.0, 24)
    assert model.device.type == site.kind
    drawn = [family.sample(model, prompts, list(range(32)), 1.0, 24) for _ in range(2)]
    assert drawn[0] == drawn[1], "the same seeds gave other answers"
    available, torch.cuda.is_available = torch.cuda.is_available, lambda: False
    try:
        expected = family.sample(model.to("cpu"), prompts, [0] * 32, 0.0, 24)
    finally:
        torch.cuda.is_available = available
    same = sum(one == other for one, other in zip(found, expected, strict=True))
    assert same >= 29, f"{same} of 32 greedy answers are a CPU's"
    return f"{same} of 32 greedy answers are a CPU's"


def executor(site: Site) -> str:
    """The same through Ray Train, which forms the group and hands out the devices."""
    from loopwright.runtime.profile import Profile, open_executor

    profile = Profile(use_gpu=bool(site.gpus), train_workers=site.ranks, num_cpus=site.ranks)
    opened = open_executor(profile, site.folder / "ray")
    try:
        result = opened.train(fit, site.job("ray", "fsdp2") | {"storage": str(site.folder / "ray" / "jobs")})
    finally:
        opened.close()
    assert result["device"]["kind"] == site.kind
    return f"{result['workers']} ranks, " + near(result["losses"], site.once("one", 1, "ddp")["losses"], CLOSE)


def cycle(site: Site) -> str:
    """A whole cycle of a language model by the program's own command: what a GPU does is on the record, which verifies."""
    from loopwright.workspace import create
    from tests.run.small import CAUSAL, small_recipe

    model = {"name": "causal-lm", "settings": {"path": str(site.model), "chat": True, "bf16": True}}
    domain = {"name": "reasoning-gym", "settings": CAUSAL["domain.settings"]}
    plain = {key: value for key, value in CAUSAL.items() if not key.startswith(("domain.", "model."))}
    on = {"runtime.profile": "cluster/local.yaml", "runtime.energy": "auto", "model": model, "domain": domain}
    workspace = create(site.folder / "cycle", overrides={**plain, **on, "name": "gpu"}, demo=True)
    profile = workspace.root / "cluster/local.yaml"
    changed = re.sub(r"train_workers: 1\b", f"train_workers: {site.ranks}", profile.read_text())
    profile.write_text(changed.replace("use_gpu: false", f"use_gpu: {str(bool(site.gpus)).lower()}"))
    small_recipe(workspace.root)
    for words in (["run", "--cycles", "1"], ["verify"]):
        command = [sys.executable, "-m", "loopwright", *words]
        done = subprocess.run(command, cwd=workspace.root, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"{words[0]} exits with {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
    phases = workspace.state().cycles["c0001"].phases
    trained = phases["train"].summary["compute"]["updates"][-1]["device"]
    assert trained["kind"] == site.kind, trained
    assert all(phases[name].environment["use_gpu"] == bool(site.gpus) for name in ("generate", "train", "evaluate"))
    return f"{phases['train'].summary['workers']} ranks on {trained['name']}, the record verifies"


def vllm(site: Site) -> str:
    """`ray.data.llm` with vLLM answers."""
    if importlib.util.find_spec("vllm") is None:
        raise NotHere("vllm is not installed (an environment of its own: pip install loopwright[vllm])")
    if not site.gpus:
        raise NotHere("vLLM needs a GPU")
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    settings = {"max_model_len": 256, "enforce_eager": True, "gpu_memory_utilization": 0.5}
    config = vLLMEngineProcessorConfig(model_source=str(site.model), engine_kwargs=settings, concurrency=1, batch_size=8)
    processor = build_processor(
        config,
        preprocess=lambda row: {"prompt": row["item"], "sampling_params": {"temperature": 0.0, "max_tokens": 8}},
        postprocess=lambda row: {"text": row["generated_text"]},
    )
    ray.init(include_dashboard=False, log_to_driver=False)
    try:
        rows = processor(ray.data.from_items(["a b a", "b b a"])).take_all()
    finally:
        ray.shutdown()
    assert len(rows) == 2
    return "2 of 2 prompts answered"


def energy(site: Site) -> str:
    """What the GPUs draw is measured, and not a model's figure."""
    with open_meter("auto", None) as meter:
        time.sleep(15)  # it looks for its hardware beside the work
        meter.begin()
        if site.gpus:
            block = torch.randn(4096, 4096, device="cuda")
            end = time.monotonic() + 5
            while time.monotonic() < end:
                block = torch.nn.functional.normalize(block @ block)
            torch.cuda.synchronize()
        found = dict(meter.end())
    if not site.gpus:
        raise NotHere("NVML needs an NVIDIA GPU")
    said = json.dumps(found)
    assert "NVML" in said, f"no NVML in {said[:300]}"
    return said[:160]


CHECKS: tuple[tuple[str, Callable[[Site], str]], ...] = (
    ("one GPU, plain loop", replica),
    ("FSDP2 on one GPU", cut_alone),
    ("DDP over NCCL", replicas),
    ("FSDP2 over NCCL", cut),
    ("LoRA, bf16, checkpointing", adapters),
    ("bf16, all weights", bfloat),
    ("resharding", resharding),
    ("resuming", resumption),
    ("generation", generation),
    ("Ray Train", executor),
    ("a whole cycle", cycle),
    ("vLLM by ray.data.llm", vllm),
    ("energy by NVML", energy),
)


def run(site: Site, only: list[str]) -> list[tuple[str, str, str]]:
    """Name, outcome and detail of each check; one that fails stops no other."""
    rows = []
    for name, check in CHECKS:
        if only and not any(word in name for word in only):
            continue
        begun = time.monotonic()
        try:
            outcome, said = "passed", check(site)
        except NotHere as missing:
            outcome, said = "not possible here", str(missing)
        except Exception as error:  # noqa: BLE001  # a check: whatever happens is its result
            traceback.print_exc()
            outcome, said = (
                "FAILED",
                f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:200] if str(error) else ''}",
            )
        rows.append((name, outcome, said))
        print(f"{name:28}{outcome:20}{time.monotonic() - begun:6.0f} s  {said}", flush=True)
    return rows


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="words of the names of checks")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--rank", nargs=3, metavar=("MEETING", "RANKS", "DIES_AT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        one_rank(Path(options.rank[0]), int(options.rank[1]), int(options.rank[2]))
        return 0
    gpus = 0 if options.rehearse else torch.cuda.device_count()
    if not gpus and not options.rehearse:
        built = "torch sees none" if torch.version.cuda else f"torch {torch.__version__} is built without CUDA"
        print(f"There is no GPU here ({built}). Run this on a machine with one; --rehearse runs the steps on CPUs.")
        return 2
    told = [torch.cuda.get_device_name(number) for number in range(gpus)] or ["a rehearsal on CPUs: it says nothing of GPUs"]
    print(f"torch {torch.__version__}, {', '.join(told)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model.resolve() if options.model else tiny(folder / "tiny")
        rows = run(Site(folder=folder, model=model, gpus=gpus, done={}), options.only)
    counts = {outcome: sum(one == outcome for _, one, _ in rows) for outcome in ("passed", "FAILED", "not possible here")}
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["FAILED"] or not rows else 0


def tiny(folder: Path) -> Path:
    """A Llama of two layers with random weights."""
    from tests.models.llama import write_llama

    return write_llama(folder)


if __name__ == "__main__":
    sys.exit(main())
