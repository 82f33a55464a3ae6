"""Experiments in several processes of this machine, or on the workers of a Dask scheduler, both by joblib."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mcugen.errors import McugenError
from mcugen.ir import Array, Float
from mcugen.sensitivity.study import Bits, Experiment, Run

INSTALL = "pip install 'mcugen[sensitivity]'"
CONNECT_SECONDS = 20


@contextmanager
def spread(experiment: Experiment, inputs: Array, jobs: int, scheduler: str | None = None) -> Iterator[Run]:
    """A function that runs configurations side by side, its results in their order.

    Args:
        jobs: processes on this machine; ignored with a scheduler.
        scheduler: address of a Dask scheduler (tcp://host:8786) whose workers have this version of mcugen installed.

    Raises:
        McugenError: joblib or Dask missing, or no scheduler at the address.
    """
    parallel = _joblib()

    def run(configurations: Sequence[Bits]) -> Iterable[Float]:
        tasks = (parallel.delayed(experiment.embed)(inputs, bits) for bits in configurations)
        found: Iterable[Float] = parallel.Parallel(n_jobs=-1 if scheduler else jobs, return_as="generator")(tasks)
        return found

    if scheduler is None:
        yield run
        return
    with _client(scheduler), parallel.parallel_config(backend="dask", scatter=[inputs, experiment]):
        yield run


def _joblib() -> Any:
    try:
        import joblib
    except ImportError:
        raise McugenError("joblib", "is not installed, but spreads the work", INSTALL) from None
    return joblib


def _client(scheduler: str) -> Any:
    try:
        from dask.distributed import Client
    except ImportError:
        raise McugenError("Dask", "is not installed, but reaches the scheduler", INSTALL) from None
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        fact = f"no Dask scheduler with a worker answers ({error})"
        raise McugenError(scheduler, fact, "start `dask scheduler` and `dask worker`, and give its address") from None
    return client
