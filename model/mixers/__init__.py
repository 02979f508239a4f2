"""The table of mixers: one file each, one row each."""

from model.mixers.mamba2 import Mamba2

MIXERS = {
    "mamba2": Mamba2,
}
