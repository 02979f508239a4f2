"""A short post-training of the tiny model, and what two runs are compared by."""

import torch

from model.arch.lm import LanguageModel
from model.training.data import RecallConfig
from model.training.post_config import PostTrainConfig

RECALL = RecallConfig(pairs=2, passkey_share=0.0, weight=5.0)  # the tiny tokenizer makes sentences too long
EVERYTHING = (("carried", 0.3), ("tbtt", 0.3), ("fitted", 0.1), ("gaussian", 0.1), ("longer", 0.1))


def config(*interventions: tuple[str, float], **choices) -> PostTrainConfig:
    fields = {"base": "tiny", "length": 64, "rows": 4, "steps": 6, "recall": RECALL, "segments": 4, "warmup": 2}
    return PostTrainConfig(interventions=interventions, **{**fields, **choices})


def weights(model: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def assert_same_weights(ours: LanguageModel, theirs: LanguageModel) -> None:
    for (name, mine), other in zip(weights(ours).items(), weights(theirs).values(), strict=True):
        assert torch.equal(mine, other), name
