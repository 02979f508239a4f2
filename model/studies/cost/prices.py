"""Energy and money from seconds: assumptions of the reader, with defaults whose origin is said.

A range of watts rather than one number: a meter was not read. Of a server processor it is the rated power a core (about
4 W: 360 W of 96 cores, or 350 W of 56 cores), up to three times as much with memory, power supply and cooling. Of a
GPU it is half of the rated power of a data-centre card (700 W) up to that plus its share of the server.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.errors import UserError

MILLION = 1_000_000
CORE_WATTS, GPU_WATTS = (4.0, 12.0), (350.0, 1000.0)
CORE_PRICE, GPU_PRICE = 0.05, 3.0
"""US dollars an hour: the order of what clouds ask for a virtual core and for a data-centre GPU without a contract."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Money per ``hour`` of this machine, and the power it draws, ``low`` to ``high`` watts."""

    hour: float
    low: float
    high: float

    def check(self) -> None:
        """UserError for what cannot be."""
        if not (0 <= self.hour < 1e6 and 0 <= self.low <= self.high < 1e6):
            raise UserError("cost.prices", hour=self.hour, low=self.low, high=self.high)

    def money(self, seconds: float, tokens: float) -> float:
        """Money per million tokens, where ``tokens`` take so many ``seconds``."""
        return self.hour * seconds / 3600 * MILLION / tokens

    def energy(self, seconds: float) -> tuple[float, float]:
        """Watt hours of so many ``seconds``, lowest and highest."""
        return self.low * seconds / 3600, self.high * seconds / 3600


def default_prices(device: str, cores: int) -> Prices:
    """The defaults for a "cpu" of so many ``cores``, or for a GPU."""
    if device == "cpu":
        return Prices(hour=CORE_PRICE * cores, low=CORE_WATTS[0] * cores, high=CORE_WATTS[1] * cores)
    return Prices(hour=GPU_PRICE, low=GPU_WATTS[0], high=GPU_WATTS[1])
