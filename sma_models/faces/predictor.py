"""Predictions of a trained network for aligned faces."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from sma_models.data.alignment import SIZE, check_same_alignment
from sma_models.data.crops import Crops
from sma_models.data.images import RGBImage, whole_square
from sma_models.data.transforms import Augment, canvas_size
from sma_models.models.checkpoint import load_checkpoint
from sma_models.models.sma_net import NetworkOutput
from sma_models.utils.finite import require_finite


class FacePredictor:
    """The network of a checkpoint, with its calibration and alignment.

    kind, regions: as in the checkpoint; alignment: how its faces must be aligned, None if they come from elsewhere
    size, canvas:  width and height in pixels of the input and of the canvas that it is cropped from

    Raises ValueError for a device that is not available.
    """

    def __init__(self, checkpoint: Path, device: str):
        self.info, network = load_checkpoint(checkpoint)
        self.kind, self.regions, self.alignment = self.info.kind, self.info.regions, self.info.alignment
        try:
            self.device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"device {device!r} is not available: {str(error).splitlines()[0]}") from error
        self.network, self.calibration = network.to(self.device), self.info.calibration.to(self.device)
        assert network.config.image_size is not None
        self.size = network.config.image_size
        self.canvas = canvas_size(self.size)
        self._center_crop = Augment("none", self.size)

    def __call__(self, crops: list[RGBImage]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Predicts from crops, uint8 RGB [H,W,3]: probabilities float64 [n,R], decisions bool [n,R], and attention [n,R,h,w]
        over their centers."""
        output = self.output(crops)
        probability, on = self.predict(output)
        return probability, on, merged(output.attention.attention).cpu().numpy()

    @torch.inference_mode()
    def output(self, crops: list[RGBImage]) -> NetworkOutput:
        """The network's output for the centers of crops, uint8 RGB [H,W,3], preprocessed as in training."""
        canvases = [torch.from_numpy(whole_square(crop, self.canvas)).permute(2, 0, 1) for crop in crops]
        images = torch.stack([self._center_crop(canvas, (0, 0, 0)) for canvas in canvases])
        return self.network(images.to(self.device))

    def predict(self, output: NetworkOutput) -> tuple[NDArray[Any], NDArray[Any]]:
        """Probabilities float64 [n,R] and decisions bool [n,R]; raises ValueError if a logit is not finite."""
        # In float32 every logit above 16.6 would become a probability of 1.
        logits = output.logits.double()
        require_finite("the network's logits", logits)
        if self.kind == "au":
            probability, on = self.calibration.probabilities(logits), self.calibration.decide(logits)
        else:
            probability = logits.softmax(1)
            on = torch.nn.functional.one_hot(logits.argmax(1), len(self.regions)).bool()
        return probability.cpu().numpy(), on.cpu().numpy()

    def check_same_alignment(self, images: Iterable[Path]) -> None:
        """Raises ValueError if `sma-net align` aligned one of the images differently from the training images."""
        for alignment in {crop.alignment for crop in Crops().all_of(images) if crop}:
            check_same_alignment(self.alignment, alignment.as_dict())

    def heatmap(self, attention: NDArray[np.float32]) -> NDArray[np.float32]:
        """An attention map [h,w] as float32 [256,256] in 0..1 over the whole crop; 0 at the margin that is cropped away."""
        scaled = attention / max(float(attention.max()), 1e-12)
        inner = cv2.resize(scaled, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        before = (self.canvas - self.size) // 2
        after = self.canvas - self.size - before
        padded = cv2.copyMakeBorder(inner, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
        return cv2.resize(padded, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def merged(attention: torch.Tensor) -> torch.Tensor:
    """One map per region, float32 [n,R,h,w]: the maximum over channels if the network does not merge them ("none")."""
    return attention.float() if attention.ndim == 4 else attention.float().amax(2)
