"""What a trained network makes of faces, gathered for the figures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.data.images import RGBImage, whole_square
from sma_models.data.transforms import canvas_size
from sma_models.faces.predictor import FacePredictor, merged
from sma_models.synthetic import AUS, SyntheticFaces

VIEW = 192  # pixels of a face in a figure
# Not the people of a training: these have seed 0 where nothing else is asked for.
_SEED, _DRAWN = 20_240, 400


class RegionView(NamedTuple):
    """One region on one face, whose centre the network sees.

    face:          uint8 RGB [VIEW,VIEW,3]
    probability:   of the region; on: whether it is called present
    before, after: its maps [K,h,w], as the head made them and refined
    used:          [h,w], the map that pools the features
    true_region:   bool [VIEW,VIEW], the pixels that change with the action unit; None where nobody knows them
    """

    name: str
    face: RGBImage
    probability: float
    on: bool
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    used: NDArray[np.float32]
    true_region: NDArray[np.bool_] | None = None


class Attended(NamedTuple):
    """views: [face][region]; correlation: float32 [N,N], the mean of S over the faces."""

    views: list[list[RegionView]]
    correlation: NDArray[np.float32]


@torch.inference_mode()
def attend(reader: FacePredictor, crops: Sequence[RGBImage]) -> Attended:
    """Show aligned crops, uint8 RGB [H,W,3], to a network; at least one."""
    if not crops:
        raise ValueError("crops must hold at least one picture; got none")
    views: list[list[RegionView]] = []
    correlations = []
    for crop in crops:
        output = reader.output([crop])
        head = output.attention
        after, _ = reader.network.attention.refine(head.maps)
        probability, on = reader.answers(output)
        before, used = head.maps.float(), merged(head.attention)
        face = centre(whole_square(crop, canvas_size(VIEW)))
        parts = (probability[0], on[0], *(part[0].cpu().numpy() for part in (before, after, used)))
        views.append([RegionView(name, face, *each) for name, *each in zip(reader.regions, *parts, strict=True)])
        correlations.append(head.correlation[0].float().cpu().numpy())
    return Attended(views, np.mean(correlations, axis=0))


def attend_drawn(reader: FacePredictor) -> tuple[list[RegionView], Attended]:
    """For each region of a network a drawn face that shows that action unit most, and all that was seen of these faces.

    Regions that are no drawn action unit get the face of some person.
    """
    faces = SyntheticFaces(_DRAWN, seed=_SEED, size=canvas_size(VIEW), subjects=_DRAWN)
    intensities = faces.all_intensities()
    columns = {f"AU{number}": column for column, number in enumerate(AUS)}
    shown = [
        int(intensities[:, columns[name]].argmax()) if name in columns else place
        for place, name in enumerate(reader.regions)
    ]
    seen = attend(reader, [faces[index].image for index in shown])
    views = []
    for place, (name, index) in enumerate(zip(reader.regions, shown, strict=True)):
        region = centre(faces.regions(index)[columns[name]]) if name in columns else None
        views.append(seen.views[place][place]._replace(true_region=region))
    return views, seen


def centre(picture: NDArray[Any]) -> NDArray[Any]:
    """The VIEW pixels in the middle of a picture, which the network sees in evaluation."""
    margin = (picture.shape[0] - VIEW) // 2
    return picture[margin : margin + VIEW, margin : margin + VIEW]
