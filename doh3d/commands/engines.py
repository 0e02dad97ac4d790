"""Options of the commands that run many tasks, and the engine that they ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from doh3d.commands.options import group_of
from doh3d.errors import ConfigError

if TYPE_CHECKING:
    from doh3d.dataset.engine import Engine


@dataclass(frozen=True)
class EngineOptions:
    """Where tasks run, and how often they are tried; of the commands that run many."""

    workers: Annotated[
        int | None, typer.Option(help="Worker processes; one for each processor unless given.")
    ] = None
    engine: Annotated[
        str, typer.Option(help="local (processes of this machine) or ray (a cluster).")
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(help="Of a running Ray cluster, or auto; a fresh local one unless given."),
    ] = None
    gpus_per_shape: Annotated[
        float | None,
        typer.Option(
            help="Share of a GPU that Ray gives a task; with --device cuda 1, or an eighth where "
            "shapes are fitted together."
        ),
    ] = None
    retries: Annotated[
        int, typer.Option(help="How often a shape is tried again whose worker has died.")
    ] = 2
    timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a shape is given up.")
    ] = None

    def make(self, device: str, *, shares_gpus: bool = False) -> Engine:
        """Make the engine that is asked for; ConfigError where options contradict.

        With `shares_gpus` tasks take turns on a GPU, so that there should be several for each.
        """
        if self.engine == "local":
            for option, value in (
                ("--address", self.address),
                ("--gpus-per-shape", self.gpus_per_shape),
            ):
                if value is not None:
                    raise ConfigError(f"{option} is for --engine ray; leave it out, or add that")
            from doh3d.dataset.local import LocalEngine

            count = _processors() if self.workers is None else self.workers
            return LocalEngine(count, retries=self.retries, timeout=self.timeout)
        if self.engine == "ray":
            from doh3d.dataset.ray_engine import RayEngine

            gpus = self.gpus_per_shape
            if gpus is None:
                on_gpu = device.startswith("cuda")
                gpus = on_gpu * (_SHARE_OF_A_GPU if shares_gpus else 1.0)
            return RayEngine(
                address=self.address,
                workers=self.workers,
                gpus=gpus,
                retries=self.retries,
                timeout=self.timeout,
            )
        raise ConfigError(f"engine is {self.engine!r}; it must be local or ray")


# Of a task that has a GPU in turn with others.
_SHARE_OF_A_GPU = 0.125

ENGINE = group_of(EngineOptions)


def _processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
