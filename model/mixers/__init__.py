"""The table of mixers: one file each, one row each."""

from model.mixers.gla import GLA
from model.mixers.hgrn2 import HGRN2
from model.mixers.mamba import Mamba
from model.mixers.mamba2 import Mamba2
from model.mixers.rg_lru import RGLRU
from model.mixers.rwkv6 import RWKV6

MIXERS = {
    "mamba2": Mamba2,
    "mamba": Mamba,
    "rg_lru": RGLRU,
    "gla": GLA,
    "hgrn2": HGRN2,
    "rwkv6": RWKV6,
}
