"""The rows of the page: what the tables of mitigations and initial states hold, with equation and paper of each.

Letters: h is a head's state, a_t its decay, x_t B_t^T what a token writes, F the strength, T the training length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from model.checkpoints.card import ModelCard
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS, PRESETS, active

STUFFED, STUFFED_V1, STATES, LONG, MODULATION = "2410.07145", "2410.07145v1", "2507.02782", "2406.02080", "2509.19633"
RECURRENCE = r"h_t = a_t\,h_{t-1} + x_t B_t^{\top}"
PAIR = "forget_more_write_less"
EQUATIONS: dict[str, tuple[str, str | None]] = {
    PAIR: (r"h_t = 0.9999\,a_t\,h_{t-1} + 0.75\,x_t B_t^{\top}", STUFFED),
    "window": (r"h_t = \sum_{j=t-R+1}^{t} \Big(\prod_{i=j+1}^{t} a_i\Big)\, x_j B_j^{\top}", STUFFED),
    "state_norm": (
        r"h_t \leftarrow h_t \,\min\!\Big(1,\; F\,\frac{\lVert h_T\rVert}{\lVert h_t\rVert}\Big)",
        STUFFED_V1,
    ),
    "reset": (r"h_t \leftarrow 0 \quad (t \bmod R = 0)", None),
    "insertion": (r"h_t = a_t\,h_{t-1} + F\,x_t B_t^{\top}", STUFFED),
    "retention": (r"h_t = F\,a_t\,h_{t-1} + x_t B_t^{\top}", STUFFED),
    "decay": (r"h_t = a_t^{F}\,h_{t-1} + x_t B_t^{\top}", MODULATION),
    "zeros": (r"h_0 = 0", LONG),
    "gaussian": (r"h_0 \sim \mathcal{N}(0,\, s^2)", STATES),
    "fitted": (r"h_0^{(l,k)} \sim \mathcal{N}\big(\mu_{l,k},\, \sigma_{l,k}^2\big)", STATES),
    "carried": (r"h_0 = h_{\text{end}}^{\text{other}}", STATES),
}
"""Equation and paper by the name of a row; one of a package has none here."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One mitigation, published pair or initial state: ``settings`` and ``initial_state`` are what the sidebar gets."""

    name: str
    title: str
    help: str
    initial_state: str = "zeros"
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def equation(self) -> tuple[str, str | None] | None:
        """LaTeX, and arXiv number where a paper proposed it."""
        return EQUATIONS.get(self.name)

    def obstacle(self, card: ModelCard) -> str | None:
        """Why a model cannot be read with it: what its mitigation says, or "needs_reference"; None if it can."""
        for name in self.settings:
            found = MITIGATIONS[name].obstacle(card.config)
            if found is not None:
                return found
            if MITIGATIONS[name].needs_reference and card.explored is None:
                return "needs_reference"
        needs = INITIAL_STATES[self.initial_state].needs_explored
        return "needs_reference" if needs and card.explored is None else None

    def matches(self, initial_state: str, settings: Mapping[str, float]) -> bool:
        """Whether a reading had this row and nothing else, at any strength; a pair only at the published ones."""
        if initial_state != self.initial_state:
            return False
        if self.name == PAIR:
            return dict(settings) == active(self.settings)
        return settings.keys() == self.settings.keys()


def mitigation_rows() -> list[Row]:
    """The published pair, and every row of the table of mitigations at its suggested strength."""
    pair = f"mitigations.preset_{PAIR}"
    found = [Row(name=PAIR, title=pair, help="mitigations.pair_help", settings=PRESETS[PAIR])]
    for name, row in MITIGATIONS.items():
        title, help = f"mitigations.{name}_title", f"mitigations.{name}_help"
        found.append(Row(name=name, title=title, help=help, settings={name: float(row.suggested)}))
    return found


def initial_rows() -> list[Row]:
    """Every row of the table of initial states."""
    return [
        Row(name=name, title=f"initial_states.{name}_title", help=f"initial_states.{name}_help", initial_state=name)
        for name in INITIAL_STATES
    ]
