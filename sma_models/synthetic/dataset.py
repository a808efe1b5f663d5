"""A sequence of synthetic faces with known action units, rendered on access."""

from typing import NamedTuple

import numpy as np

from sma_models.synthetic.argument_checks import one_of, whole_number
from sma_models.synthetic.identity import Identity, draw_identity
from sma_models.synthetic.labels import MODES, sample_intensities
from sma_models.synthetic.rates import AUS, COLUMN, LABEL_THRESHOLD
from sma_models.synthetic.regions import measure_region, measure_regions
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import Scene, draw_scene
from sma_models.synthetic.types import BoolArray, Image, Intensities


class SyntheticFace(NamedTuple):
    """One face: image uint8 RGB [size, size, 3], intensities int8 [15] in 0 to 5, subject number."""

    image: Image
    intensities: Intensities
    subject: int


class SyntheticFaces:
    """Procedurally generated faces, each with the intensities of 15 action units (see `AUS`).

    Image i shows subject `first_subject + i % subjects`. It depends only on `seed`, its subject and i, not on
    earlier calls or the process. Ranges of subjects that do not overlap share no face.

    Args:
        count: number of images, at least 0.
        seed: at least 0, below 2**63; another seed means other people, scenes and labels.
        size: width and height in pixels, 32 to 512.
        subjects: number of people, at least 1.
        first_subject: number of the first of them, at least 0.
        mode: "correlated" samples action units with published base rates and correlations; "independent"
            keeps the base rates and drops every correlation except that AU24 excludes AU25 and AU26.

    Raises:
        ValueError: an argument is out of range; the message names it, its value and what was expected.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        size: int = 128,
        subjects: int = 100,
        first_subject: int = 0,
        mode: str = "correlated",
    ) -> None:
        self.count = whole_number("count", count, 0)
        self.seed = whole_number("seed", seed, 0, 2**63 - 1)
        self.size = whole_number("size", size, 32, 512)
        self.subjects = whole_number("subjects", subjects, 1)
        self.first_subject = whole_number("first_subject", first_subject, 0)
        self.mode = one_of("mode", mode, MODES)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> SyntheticFace:
        """The `SyntheticFace` at index; negative indices count from the end; IndexError out of range."""
        identity, scene, intensities = self._render_inputs(index)
        image = render(identity, scene, intensities, self.size)
        return SyntheticFace(image, intensities, self.subject(index))

    def subject(self, index: int) -> int:
        """Number of the subject of one image."""
        return self.first_subject + self._from_start(index) % self.subjects

    def intensities(self, index: int) -> Intensities:
        """Intensities, int8 [15] in 0 to 5, of one image, without rendering it."""
        index = self._from_start(index)
        return sample_intensities(self.mode, self.seed, [self.subject(index)], [index])[0]

    def labels(self, index: int) -> BoolArray:
        """Labels, bool [15], of one image: True for intensities of at least 2."""
        return self.intensities(index) >= LABEL_THRESHOLD

    def all_intensities(self) -> Intensities:
        """Intensities, int8 [count, 15], of every image."""
        indices = np.arange(self.count)
        return sample_intensities(self.mode, self.seed, self.first_subject + indices % self.subjects, indices)

    def all_labels(self) -> BoolArray:
        """Labels, bool [count, 15], of every image."""
        return self.all_intensities() >= LABEL_THRESHOLD

    def regions(self, index: int) -> BoolArray:
        """True regions, bool [15, size, size], of one image.

        The region of an action unit is measured: the pixels that change by more than 4 of 255 when the same
        face in the same scene is rendered without it, closed by 3 pixels. It is empty if the intensity is 0
        or the region is occluded.
        """
        return measure_regions(*self._render_inputs(index), self.size)

    def neutralized(self, index: int, au: int) -> Image:
        """One image with the region of one AU replaced by the subject's neutral face: uint8 [size, size, 3].

        The neutral face is rendered in the same scene. An image in which the intensity of `au` is 0 is
        unchanged. ValueError if `au` is not one of `AUS`.
        """
        column = COLUMN[one_of("au", au, AUS)]
        identity, scene, intensities = self._render_inputs(index)
        image = render(identity, scene, intensities, self.size)
        if intensities[column]:
            region = measure_region(identity, scene, intensities, column, image)
            image[region] = render(identity, scene, np.zeros_like(intensities), self.size)[region]
        return image

    def _from_start(self, index: int) -> int:
        """`index` counted from the start; IndexError if it is out of range."""
        nonnegative = index + self.count if index < 0 else index
        if not 0 <= nonnegative < self.count:
            raise IndexError(f"index is {index}; expected {-self.count} to {self.count - 1}")
        return nonnegative

    def _render_inputs(self, index: int) -> tuple[Identity, Scene, Intensities]:
        index = self._from_start(index)
        subject = self.subject(index)
        return (
            draw_identity(self.seed, subject),
            draw_scene(self.seed, subject, index),
            self.intensities(index),
        )
