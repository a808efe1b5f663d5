"""Runs a trained network on faces and collects the results for the figures."""

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
# Not the subjects of a training run, whose default seed is 0.
_SEED, _FACE_COUNT = 20_240, 400


class RegionView(NamedTuple):
    """One region on the center crop of one face.

    face:          uint8 RGB [VIEW,VIEW,3]
    probability:   of the region; on: whether it is predicted as present
    before, after: its maps [K,h,w], before and after refinement
    used:          [h,w], the map that pools the features
    true_region:   bool [VIEW,VIEW], the pixels that change with the action unit; None if unknown
    """

    name: str
    face: RGBImage
    probability: float
    on: bool
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    used: NDArray[np.float32]
    true_region: NDArray[np.bool_] | None = None


class AttentionViews(NamedTuple):
    """views: [face][region]; correlation: float32 [N,N], the mean of S over the faces."""

    views: list[list[RegionView]]
    correlation: NDArray[np.float32]


@torch.inference_mode()
def run_attention(predictor: FacePredictor, crops: Sequence[RGBImage]) -> AttentionViews:
    """Run a network on aligned crops, uint8 RGB [H,W,3]; ValueError if there are none."""
    if not crops:
        raise ValueError("crops must contain at least one image; got none")
    views: list[list[RegionView]] = []
    correlations = []
    for crop in crops:
        output = predictor.output([crop])
        head = output.attention
        after, _ = predictor.network.attention.refine(head.maps)
        probability, on = predictor.predict(output)
        before, used = head.maps.float(), merged(head.attention)
        face = center_crop(whole_square(crop, canvas_size(VIEW)))
        arrays = (probability[0], on[0], *(maps[0].cpu().numpy() for maps in (before, after, used)))
        views.append([RegionView(name, face, *each) for name, *each in zip(predictor.regions, *arrays, strict=True)])
        correlations.append(head.correlation[0].float().cpu().numpy())
    return AttentionViews(views, np.mean(correlations, axis=0))


def run_on_synthetic(predictor: FacePredictor) -> tuple[list[RegionView], AttentionViews]:
    """For each region the view of a synthetic face with the strongest such action unit, and all views of these faces.

    Regions that the renderer does not know get the face of some subject.
    """
    faces = SyntheticFaces(_FACE_COUNT, seed=_SEED, size=canvas_size(VIEW), subjects=_FACE_COUNT)
    intensities = faces.all_intensities()
    columns = {f"AU{number}": column for column, number in enumerate(AUS)}
    indices = [
        int(intensities[:, columns[name]].argmax()) if name in columns else row
        for row, name in enumerate(predictor.regions)
    ]
    attended = run_attention(predictor, [faces[index].image for index in indices])
    views = []
    for row, (name, index) in enumerate(zip(predictor.regions, indices, strict=True)):
        region = center_crop(faces.regions(index)[columns[name]]) if name in columns else None
        views.append(attended.views[row][row]._replace(true_region=region))
    return views, attended


def center_crop(image: NDArray[Any]) -> NDArray[Any]:
    """The center crop of VIEW pixels, which the network sees in evaluation."""
    margin = (image.shape[0] - VIEW) // 2
    return image[margin : margin + VIEW, margin : margin + VIEW]
