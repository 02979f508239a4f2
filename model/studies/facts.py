"""What can be said of a model before it is loaded: sizes, memory, and the lengths that a paper reports for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import model_card
from model.config import ModelConfig
from model.errors import UserError
from model.mixers import MIXERS, recurrent, state_size, title
from model.published import FAMILIES, hub
from model.published.config import PublishedConfig, read_published
from model.published.files import tensors_in
from model.published.room import room_of
from model.studies.capacity import REPORTED, reported_forget, reported_recall

UNSURE = frozenset({"mamba", "mamba2"})
"""Families whose official checkpoints have a disputed training length."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Sizes of one model. Bytes: ``disk`` of its files, ``state`` of its recurrent state, ``needed`` by precision.

    ``layers`` are its recurrent memories, ``attention_layers`` what attends beside them. ``length_from`` says where the
    training length is from: "own" for a model of this project, else as in :class:`PublishedConfig`. ``grows`` are the
    bytes that attention keeps of every token that it sees, where that is the whole document, else 0. ``forget`` and
    ``recall`` are in tokens, None where they do not apply.
    """

    name: str
    family: str
    parameters: int
    disk: int
    state_size: int
    layers: int
    attention_layers: int
    train_length: int
    length_from: str
    needed: dict[str, int]
    grows: int
    forget: int | None
    recall: int | None

    @property
    def state(self) -> int:
        """Bytes of the recurrent state, which is float32."""
        return 4 * self.state_size

    @property
    def attention_share(self) -> float:
        """Attention among all layers that mix tokens."""
        return self.attention_layers / (self.layers + self.attention_layers)


def facts_of(card: ModelCard) -> Facts:
    """What is known of ``card`` from its configuration and the headers of its files; UserError if they are damaged."""
    entries = tensors_in(card.path, card.name)
    files = {entry.file for entry in entries.values()}
    parameters = sum(entry.size for entry in entries.values())
    return facts(card.name, card.config, parameters, sum(file.stat().st_size for file in files))


def find_facts(name: str) -> Facts:
    """What is known of the model ``name`` before it is loaded, wherever it is.

    A folder may hold no more than ``config.json``. Of a name of the hub that was not downloaded, the hub is asked; no
    weights are fetched. UserError if there is nothing of that name, or nothing that is read here.
    """
    folder = Path(name)
    if (folder / "config.json").exists() and not any(folder.glob("*.safetensors")):
        config = read_published(folder, name)
        return facts(name, config, counted(config, name), 0)
    try:
        return facts_of(model_card(name))
    except UserError as error:
        if error.key != "published.not_downloaded":
            raise
    offer = hub.look_up(name)
    return facts(name, offer.config, offer.parameters or counted(offer.config, name), offer.size)


def counted(config: PublishedConfig, name: str) -> int:
    """Parameters of the model ``name`` of ``config``, from the configuration alone."""
    from model.published.load import count_parameters

    return count_parameters(config, name)


def facts(name: str, config: ModelConfig, parameters: int, disk: int) -> Facts:
    """The same of a model of ``config`` that may not be on this machine yet."""
    rooms = {precision: room_of(config, parameters, precision) for precision in ("float32", "bfloat16")}
    forget, recall = reported_lengths(config)
    published = isinstance(config, PublishedConfig)
    caches = [layer for layer in config.layers if MIXERS[layer].cache]
    growing = sum(not MIXERS[layer].bounded for layer in caches)  # float32 keys and values, d_model wide each
    return Facts(
        name=name,
        family=FAMILIES[config.family].title if isinstance(config, PublishedConfig) else title(config.layers),
        parameters=parameters,
        disk=disk,
        state_size=state_size(config),
        layers=len(recurrent(config.layers)),
        attention_layers=config.attention_layers if isinstance(config, PublishedConfig) else len(caches),
        train_length=config.train_length,
        length_from=config.length_from if isinstance(config, PublishedConfig) else "own",
        needed={precision: room.needed for precision, room in rooms.items()},
        grows=rooms["float32"].kept_per_token if published else 8 * config.d_model * growing,
        forget=forget,
        recall=recall,
    )


def reported_lengths(config: ModelConfig) -> tuple[int | None, int | None]:
    """T_forget and T_recall of the fits of Stuffed Mamba (arXiv 2410.07145, 5.2 and 5.3), in tokens.

    T_forget: the training length from which a state of this size learns to forget. T_recall: how far back a passkey
    is found by a model trained that long. They were fitted to Mamba-2 with states of 1.6 to 12.9 million numbers, the
    convolution's included, and say nothing of others: (None, None).
    """
    if set(config.layers) != {"mamba2"} or (isinstance(config, PublishedConfig) and config.family != "mamba2"):
        return None, None
    channels = config.d_inner + 2 * config.ngroups * config.d_state
    millions = (config.state_size + len(config.layers) * (config.d_conv - 1) * channels) / 1e6
    if not REPORTED[0] <= round(millions, 1) <= REPORTED[1]:
        return None, None
    return round(reported_forget(millions)), round(reported_recall(millions))
