"""Crops and augmentations: from a canvas slightly larger than the network's input to that input."""

import torch
from torch import Tensor
from torchvision.transforms import v2

AUGMENTATIONS = ("none", "mild", "strong")


def canvas_size(image_size: int) -> int:
    """Width and height in pixels of the canvas that an input of `image_size` is cropped from (256 for 224).

    Raises ValueError for a size outside 8 to 4096 pixels.
    """
    if not 8 <= image_size <= 4096:
        raise ValueError(f"image_size must be 8 to 4096 pixels; got {image_size}")
    return round(image_size * 8 / 7)


class Augment:
    """uint8 [3,canvas,canvas] to uint8 [3,image_size,image_size], as a function of the image and a key.

    kind: "none" takes the center; "mild" crops at random, mirrors and jitters colors; "strong" also rotates, scales,
          converts to gray and erases patches. None of them changes action units or expressions.
    The same key gives the same image in any process, regardless of earlier random numbers, so that resumed runs are exact.
    """

    def __init__(self, kind: str, image_size: int):
        if kind not in AUGMENTATIONS:
            raise ValueError(f"augment must be one of {', '.join(AUGMENTATIONS)}; got {kind!r}")
        self.transform = _pipeline(kind, image_size)
        self.random = kind != "none"

    def __call__(self, image: Tensor, key: tuple[int, int, int]) -> Tensor:
        """key: (seed, epoch, index), each at least 0."""
        if not self.random:
            return self.transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mix(key))
            return self.transform(image)


def _pipeline(kind: str, size: int) -> v2.Compose:
    if kind == "none":
        return v2.Compose([v2.CenterCrop(size)])
    mild = [v2.RandomCrop(size), v2.RandomHorizontalFlip(), v2.ColorJitter(0.2, 0.2, 0.2)]
    if kind == "mild":
        return v2.Compose(mild)
    affine = v2.RandomAffine(12, scale=(0.9, 1.15), fill=128, interpolation=v2.InterpolationMode.BILINEAR)
    erase = v2.RandomErasing(0.3, scale=(0.02, 0.12), value=128)
    return v2.Compose([affine, *mild, v2.RandomGrayscale(0.1), erase])


def _mix(key: tuple[int, int, int]) -> int:
    """A 63-bit seed from a key, by 64-bit FNV-1a: neighboring keys give unrelated seeds."""
    state = 0xCBF29CE484222325
    for number in key:
        for byte in number.to_bytes(8, "little"):
            state = ((state ^ byte) * 0x100000001B3) % 2**64
    return (state ^ (state >> 32)) % 2**63
