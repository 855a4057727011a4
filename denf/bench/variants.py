"""Variants of DeNF's training step, and measuring one of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from denf.data.scenes.render import draw, scene
from denf.flow import Coupling
from denf.flow.subnet import runs_triton
from denf.harness.bench import peak_bytes
from denf.harness.method import Step
from denf.harness.train import start_training
from denf.method import DenfMethod
from denf.model.settings import Architecture, DenfSettings, Precision, Schedule, SubnetKind

POOL = 4  # batches of different images


@dataclass(frozen=True)
class Variant:
    """One way to run a step.

    Args:
        kind: of the subnets.
        precision: inside the subnets.
        graph: recorded as CUDA graphs; without effect on a CPU.
        compiled: whether each coupling is compiled by `torch.compile`.
    """

    kind: SubnetKind
    precision: Precision = Precision.BFLOAT16
    graph: bool = True
    compiled: bool = False


REFERENCE = "reference"
VARIANTS = {
    REFERENCE: Variant(SubnetKind.CONVOLUTIONS, Precision.FLOAT32, graph=False),
    "triton-bfloat16": Variant(SubnetKind.TRITON),
    "padded-bfloat16": Variant(SubnetKind.PADDED),
    "convolutions-bfloat16": Variant(SubnetKind.CONVOLUTIONS),
    "convolutions-float32": Variant(SubnetKind.CONVOLUTIONS, Precision.FLOAT32),
    "triton-float32": Variant(SubnetKind.TRITON, Precision.FLOAT32),
    "padded-float32": Variant(SubnetKind.PADDED, Precision.FLOAT32),
    "products-bfloat16": Variant(SubnetKind.PRODUCTS),
    "products-float32": Variant(SubnetKind.PRODUCTS, Precision.FLOAT32),
    "compiled-bfloat16": Variant(SubnetKind.PADDED, graph=False, compiled=True),
}


@dataclass(frozen=True)
class Workload:
    """Model, data and length of the training that is measured.

    Args:
        size: side of the images in pixels.
        features: width of the subnets.
        batch: images per step.
        steps: training steps whose losses are compared, in the phases of a whole training.
        repetitions: timed steps after these.
        device: "cpu" or "cuda".
        threads: of torch.
        couplings: per block.
    """

    size: int
    features: int
    batch: int
    steps: int
    repetitions: int
    device: str
    threads: int = 1
    couplings: int = 4

    @classmethod
    def on(
        cls,
        device: torch.device,
        size: int,
        features: int,
        batch: int,
        steps: int | None,
        threads: int,
    ) -> Workload:
        """A workload with a number of steps that suits the device, unless given."""
        gpu = device.type == "cuda"
        steps = steps or (200 if gpu else 3)
        return cls(size, features, batch, steps, 5 if gpu else 2, device.type, threads)


def measure(name: str, work: Workload) -> dict[str, Any]:
    """Figures of one variant: JSON-able, with the losses of all steps.

    The reference also counts floating-point operations, times a matrix product, and is trained a
    second time with other noise, to show how far losses differ by chance.
    """
    torch.set_num_threads(work.threads)
    variant, device = VARIANTS[name], torch.device(work.device)
    if variant.kind is SubnetKind.TRITON and not runs_triton(torch.zeros(1, device=device)):
        raise RuntimeError("Triton's kernels need a GPU, and Triton itself")
    images = _images(work).to(device)
    found: dict[str, Any] = {}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    method = _method(variant, work)
    step = _stepper(method, images, work, seed=0)
    began = time.perf_counter()
    losses = torch.stack([step(index) for index in range(work.steps)])
    found["losses"] = losses.double().tolist()
    found["training_seconds"] = time.perf_counter() - began  # including recording and compilation
    seconds = _seconds(lambda: step(work.steps - 1), work)
    found["ms_per_step"] = 1000 * seconds
    found["images_per_second"] = work.batch / seconds
    encode = _encoder(method, images[: work.batch], variant.graph and device.type == "cuda")
    found["encode_ms"] = 1000 * _seconds(encode, work)
    if device.type == "cuda":
        found["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    else:
        found["peak_bytes"] = peak_bytes(lambda: step(work.steps - 1), device)
    if name == REFERENCE:
        again = _stepper(_method(variant, work), images, work, seed=1)
        other = torch.stack([again(index) for index in range(work.steps)])
        found["losses_with_other_noise"] = other.double().tolist()
        found["flop_per_step"] = _operations(lambda: again(work.steps - 1))
        found["matrix_flops"] = matrix_rate(device)
    return found


def matrix_rate(device: torch.device) -> float:
    """Operations per second of a square matrix product: bfloat16 on a GPU, float32 on a CPU."""
    gpu = device.type == "cuda"
    n, dtype = (8192, torch.bfloat16) if gpu else (1024, torch.float32)
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(10 if gpu else 4):
        began = time.perf_counter()
        a @ b
        if gpu:
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return 2 * n**3 / min(times)


def _images(work: Workload) -> Tensor:
    """Embedded scenes, uint8 (POOL·batch, 3, S, S)."""
    layouts = [scene("clevr6", 0, index) for index in range(POOL * work.batch)]
    images = draw("clevr6", layouts, work.size).images
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _method(variant: Variant, work: Workload) -> DenfMethod:
    schedule = Schedule(warmup_steps=3 * work.steps // 10, boxes_from=6 * work.steps // 10)
    shape = Architecture(features=work.features, couplings=work.couplings)
    settings = DenfSettings(
        architecture=shape,
        schedule=schedule,
        subnets=variant.kind,
        precision=variant.precision,
        graph=variant.graph,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = DenfMethod(settings)
        for name, parameter in method.named_parameters():
            if ".last." in name or ".skip." in name:  # initially zero, so all variants would agree
                torch.nn.init.normal_(parameter, std=0.003)
    start_training(method, torch.device(work.device))
    if variant.compiled:
        _compile(method)
    return method


def _compile(method: DenfMethod) -> None:
    """Compile one graph for each shape of a coupling, in both directions.

    The heads of presence, scale and loc are evaluated side by side, and not compiled.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 64
    for module in method.modules():
        if isinstance(module, Coupling):
            module.forward = torch.compile(module.forward, dynamic=False)  # type: ignore
            module.inverse = torch.compile(module.inverse, dynamic=False)  # type: ignore


def _stepper(
    method: DenfMethod, images: Tensor, work: Workload, seed: int
) -> Callable[[int], Tensor]:
    generator = torch.Generator(images.device)

    def step(index: int) -> Tensor:
        generator.manual_seed(seed * work.steps + index)
        start = (index % POOL) * work.batch
        batch = images[start : start + work.batch]
        return method.training_step(batch, Step(index, work.steps, generator))["loss"]

    return step


def _encoder(method: DenfMethod, images: Tensor, graph: bool) -> Callable[[], Any]:
    x = (images.float() / 256).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def encode() -> Tensor:
        return method.model.encode(x).ladj1

    if not graph:
        return encode
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            encode()
    torch.cuda.current_stream().wait_stream(stream)
    recording = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recording):
        encode()
    return recording.replay


def _seconds(run: Callable[[], Any], work: Workload) -> float:
    """Seconds of one call: on a GPU the median of groups of ten, on a CPU the least.

    With one thread, processor time is measured, which other processes disturb less.
    """
    gpu = work.device == "cuda"
    clock = time.process_time if not gpu and work.threads == 1 else time.perf_counter
    times, calls = [], 10 if gpu else 1
    for _ in range(work.repetitions + 1):
        if gpu:
            torch.cuda.synchronize()
        began = clock()
        for _ in range(calls):
            run()
        if gpu:
            torch.cuda.synchronize()
        times.append((clock() - began) / calls)
    return statistics.median(times[1:]) if gpu else min(times[1:])


def _operations(run: Callable[[], Any]) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton where installed

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()
