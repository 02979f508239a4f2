"""Where the tasks of a sweep run: processes of this machine, or the workers of a Dask cluster, behind one interface.

Both are executors of ``concurrent.futures``; the cluster's is Dask's own. Workers of a cluster need this program and
the models, and see the folder of the results, or they begin every task from nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from model.errors import UserError

TIMEOUT = 10
"""Seconds until a cluster has to answer."""


@contextmanager
def open_executor(cluster: str, workers: int) -> Iterator[Executor]:
    """The executor of the cluster at ``cluster``, an address, or without one of ``workers`` processes of this machine.

    UserError if Dask is not installed, or no scheduler answers at the address.
    """
    if not cluster:
        # Fresh processes: a forked copy of one that has used threads may hang.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield pool
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError("sweep.no_dask") from error
    try:
        client = Client(cluster, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError("sweep.no_cluster", address=cluster) from error
    with client:
        yield client.get_executor(pure=False)
