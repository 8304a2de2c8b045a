"""The devices of a machine: selection, number, memory, and assignment to workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from aisb import UsageError

DEVICE_VARIABLES = {"cuda": "CUDA_VISIBLE_DEVICES", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
"""The environment variable that limits a process to some devices."""


def resolve_device(asked: str) -> str:
    """Return the kind of device to use: the requested one, or the best available.

    Raises:
        UsageError: this machine has no such device.
    """
    if asked == "cpu":  # known without torch, whose import takes seconds
        return asked
    there = [kind for kind in ("cuda", "npu", "mps") if count(kind)]
    if asked == "auto":
        return there[0] if there else "cpu"
    if asked in there:
        return asked
    raise UsageError(
        f"device = {asked!r}: torch finds no such device here; available: {', '.join([*there, 'cpu'])}\n"
        f"  {_why_not(asked)}; device = 'auto' selects the best one"
    )


def count(kind: str) -> int:
    """Return the number of devices of a kind that torch can use; CPUs are not counted."""
    if kind == "cpu":
        return 0
    import torch

    if kind == "cuda":
        return int(torch.cuda.device_count())
    if kind == "npu":
        try:
            import torch_npu  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        except ImportError:
            return 0
        return int(torch.npu.device_count())  # type: ignore[attr-defined, unused-ignore]
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 0


def pin(kind: str, worker: int, workers: int, each: int) -> dict[str, str]:
    """Return the environment variables that give a worker its own devices, or its share of the cores."""
    if kind in DEVICE_VARIABLES:
        own = os.environ.get(DEVICE_VARIABLES[kind], "")
        names = own.split(",") if own else [str(number) for number in range(count(kind))]
        return {DEVICE_VARIABLES[kind]: ",".join(names[worker * each : (worker + 1) * each])}
    return {"OMP_NUM_THREADS": str(max(1, _usable_cpus() // workers))}


def memory(device: Any) -> tuple[int, int]:
    """Return the bytes of a device's memory that this process uses, and those that are free."""
    import torch

    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return total - free, free + reserved
    return _resident(), _available()


def release(device: Any) -> None:
    """Return the allocator's cached memory to the device."""
    import gc

    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means "out of memory"; torch has no single class for it on all devices."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in words.lower() or "can't allocate memory" in words or "not enough memory" in words
    )


def bytes_text(count: float) -> str:
    """Format a number of bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _why_not(kind: str) -> str:
    import torch

    if kind == "cuda":
        if torch.version.cuda is None:
            return f"torch {torch.__version__} is built without CUDA: install a build that has it"
        return "the driver shows no GPU to this process: look at nvidia-smi and CUDA_VISIBLE_DEVICES"
    if kind == "npu":
        return "an NPU needs the package torch_npu, and its driver"
    return "mps needs a Mac with Apple silicon"


def _usable_cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _numbers(path: str) -> Mapping[str, int]:
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
            rows = (line.split() for line in file)
            return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[1:2] and row[1].isdigit()}
    except OSError:
        return {}


def _resident() -> int:
    return _numbers("/proc/self/status").get("VmRSS", 0)


def _available() -> int:
    return _numbers("/proc/meminfo").get("MemAvailable", 8 << 30)
