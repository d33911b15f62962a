"""What a run cost and what it ran on."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("adapterstilts", "adapters", "torch", "transformers", "datasets", "tokenizers", "safetensors", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            from adapterstilts import __version__

            found[name] = __version__ if name == "adapterstilts" else "not installed"
    return found


def device_name() -> str:
    """Return the accelerator's name, or the processor architecture and the number of threads used."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def peak_memory() -> dict[str, int]:
    """Return the peak resident memory of this process, and of the accelerator, in bytes."""
    import torch

    memory: dict[str, int] = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        memory["resident_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if torch.cuda.is_available():
        memory["accelerator_bytes"] = int(torch.cuda.max_memory_allocated())
    return memory


def make_deterministic() -> None:
    """Ask for the same result from the same seed on accelerators, too; the CPU needs no asking."""
    import os

    import torch

    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def per_second(count: int, seconds: float) -> float:
    """Return a rate, 0 where no time passed."""
    return round(count / seconds, 2) if seconds > 0 else 0.0


def resources(examples: int, tokens: int, seconds: float, trained_parameters: int) -> dict[str, Any]:
    """Return what a manifest says about the cost of a training run."""
    return {
        "device": device_name(),
        "wall_seconds": round(seconds, 2),
        "examples_per_second": per_second(examples, seconds),
        "tokens_per_second": per_second(tokens, seconds),
        "peak_memory": peak_memory(),
        "trained_parameters": trained_parameters,
    }
