"""Options of the commands that run many tasks, and the engine that they ask for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from doh3d.errors import ConfigError

if TYPE_CHECKING:
    from doh3d.dataset.engine import Engine

WorkersOption = Annotated[
    int | None,
    typer.Option(help="Worker processes; one for each processor unless given."),
]
EngineOption = Annotated[
    str, typer.Option(help="local (processes of this machine) or ray (a cluster).")
]
AddressOption = Annotated[
    str | None,
    typer.Option(help="Of a running Ray cluster, or auto; a fresh local one unless given."),
]
GpusOption = Annotated[
    float | None,
    typer.Option(help="Share of a GPU that Ray gives a shape; 1 with --device cuda."),
]
RetriesOption = Annotated[
    int, typer.Option(help="How often a shape is tried again whose worker has died.")
]
TimeoutOption = Annotated[
    float | None, typer.Option(help="Seconds after which a shape is given up.")
]


def make_engine(
    name: str,
    *,
    workers: int | None,
    address: str | None = None,
    gpus: float | None = None,
    retries: int,
    timeout: float | None,
    device: str = "auto",
) -> Engine:
    """Make the engine that the options ask for; ConfigError where they contradict."""
    if name == "local":
        for option, value in (("--address", address), ("--gpus-per-shape", gpus)):
            if value is not None:
                raise ConfigError(f"{option} is for --engine ray; leave it out, or add that")
        from doh3d.dataset.local import LocalEngine

        count = _processors() if workers is None else workers
        return LocalEngine(count, retries=retries, timeout=timeout)
    if name == "ray":
        from doh3d.dataset.ray_engine import RayEngine

        if gpus is None:
            gpus = 1.0 if device.startswith("cuda") else 0.0
        return RayEngine(
            address=address, workers=workers, gpus=gpus, retries=retries, timeout=timeout
        )
    raise ConfigError(f"engine is {name!r}; it must be local or ray")


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
