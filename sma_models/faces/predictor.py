"""What a trained network says of aligned faces."""

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

    kind, regions: as in the checkpoint; alignment: what its faces must be aligned by, None: as made elsewhere
    """

    def __init__(self, checkpoint: Path, device: str):
        self.info, network = load_checkpoint(checkpoint)
        self.kind, self.regions, self.alignment = self.info.kind, self.info.regions, self.info.alignment
        try:
            self.device = torch.empty(0, device=device).device
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"device {device!r} is not there: {str(error).splitlines()[0]}") from error
        self.network, self.calibration = network.to(self.device), self.info.calibration.to(self.device)
        assert network.config.image_size is not None
        self.size = network.config.image_size
        self.canvas = canvas_size(self.size)
        self._centre = Augment("none", self.size)

    def __call__(self, crops: list[RGBImage]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Of crops, uint8 RGB [H,W,3]: probabilities float64 [n,R], decisions bool [n,R], attention [n,R,h,w] over
        the centre."""
        output = self.output(crops)
        probability, on = self.answers(output)
        return probability, on, merged(output.attention.attention).cpu().numpy()

    @torch.inference_mode()
    def output(self, crops: list[RGBImage]) -> NetworkOutput:
        """What the network makes of the centres of crops, uint8 RGB [H,W,3], which are prepared as in training."""
        pictures = [torch.from_numpy(whole_square(crop, self.canvas)).permute(2, 0, 1) for crop in crops]
        images = torch.stack([self._centre(picture, (0, 0, 0)) for picture in pictures])
        return self.network(images.to(self.device))

    def answers(self, output: NetworkOutput) -> tuple[NDArray[Any], NDArray[Any]]:
        """Probabilities float64 [n,R] and decisions bool [n,R]."""
        # Float32 would round every probability above a logit of 16.6 to 1.
        logits = output.logits.double()
        require_finite("the network's answers", logits)
        if self.kind == "au":
            probability, on = self.calibration.probabilities(logits), self.calibration.decide(logits)
        else:
            probability = logits.softmax(1)
            on = torch.nn.functional.one_hot(logits.argmax(1), len(self.regions)).bool()
        return probability.cpu().numpy(), on.cpu().numpy()

    def check_same_alignment(self, pictures: Iterable[Path]) -> None:
        """ValueError if `sma-net align` wrote one of the pictures otherwise than those of training."""
        for alignment in {crop.alignment for crop in Crops().all_of(pictures) if crop}:
            check_same_alignment(self.alignment, alignment.as_dict())

    def heat(self, attention: NDArray[np.float32]) -> NDArray[np.float32]:
        """One map [h,w] as float [256,256] in 0..1 over the whole crop; 0 at the rim that the network does not see."""
        scaled = attention / max(float(attention.max()), 1e-12)
        seen = cv2.resize(scaled, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        rim = (self.canvas - self.size) // 2
        after = self.canvas - self.size - rim
        whole = cv2.copyMakeBorder(seen, rim, after, rim, after, cv2.BORDER_CONSTANT, value=0)
        return cv2.resize(whole, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def merged(attention: torch.Tensor) -> torch.Tensor:
    """One map a region, float32 [n,R,h,w]: of a network that keeps its channels apart ("none"), the strongest of them."""
    return attention.float() if attention.ndim == 4 else attention.float().amax(2)
