"""Published results for comparison, with their sources. Neither their code nor their splits are ours."""

from typing import NamedTuple


class Published(NamedTuple):
    """score: mean F1 of action units, in hundredths."""

    dataset: str
    name: str
    score: str
    source: str


PUBLISHED = (
    Published(
        "bp4d",
        "SMA-Net (Li et al., FG 2021)",
        "64.9",
        "second-hand: quoted from later papers, not checked in the original",
    ),
    Published(
        "disfa",
        "SMA-Net (Li et al., FG 2021)",
        "64.2",
        "second-hand: quoted from later papers, not checked in the original; the numbers of its action units average 62.4",
    ),
)
