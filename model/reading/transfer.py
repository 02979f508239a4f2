"""What a segment leaves on its device, on its way to the host: one copy, waited for only when it is looked at.

On a GPU the numbers are laid one behind the other and copied into pinned memory, behind whatever the device still has
to do; an event tells when they have arrived. On a CPU they are where they should be already.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


class Transfer:
    """Named tensors of one device, asked for once and looked at later."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._host = {name: tensor.detach() for name, tensor in tensors.items() if tensor.device.type == "cpu"}
        away = {name: tensor.detach() for name, tensor in tensors.items() if tensor.device.type != "cpu"}
        self._arrived: torch.cuda.Event | None = None
        for dtype in {tensor.dtype for tensor in away.values()}:
            self._send({name: tensor for name, tensor in away.items() if tensor.dtype == dtype})
        if away:
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def _send(self, tensors: Mapping[str, Tensor]) -> None:
        """Start the copy of ``tensors`` of one dtype."""
        packed = torch.cat([tensor.reshape(-1) for tensor in tensors.values()])
        pinned = torch.empty(packed.shape, dtype=packed.dtype, pin_memory=True)
        pinned.copy_(packed, non_blocking=True)
        parts = pinned.split([tensor.numel() for tensor in tensors.values()])
        for (name, tensor), part in zip(tensors.items(), parts, strict=True):
            self._host[name] = part.view(tensor.shape)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them as numpy, as soon as they have arrived."""
        if self._arrived is not None:
            self._arrived.synchronize()
            self._arrived = None
        return {name: tensor.numpy() for name, tensor in self._host.items()}
