"""A sequence of synthetic faces with known action units, rendered when asked for."""

from typing import NamedTuple

import numpy as np

from sma_models.synthetic.argument_checks import one_of, whole_number
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.labels import MODES, sample_intensities
from sma_models.synthetic.rates import AUS, COLUMN, LABEL_THRESHOLD
from sma_models.synthetic.regions import measure_region, measure_regions
from sma_models.synthetic.render import render
from sma_models.synthetic.scene import draw_scene


class SyntheticFace(NamedTuple):
    """One face: image uint8 RGB [size, size, 3], intensities int8 [15] in 0 to 5, subject number."""

    image: np.ndarray
    intensities: np.ndarray
    subject: int


class SyntheticFaces:
    """Faces drawn from numbers alone, with the intensity of 15 action units each (see `AUS`).

    Image i shows subject `first_subject + i % subjects`. Everything about it follows from `seed`, its subject
    and i, whatever was asked before and in whichever process. Ranges of subjects that do not overlap share no
    face.

    Args:
        count: number of images, at least 0.
        seed: at least 0, below 2**63; another seed means other people, scenes and labels.
        size: width and height in pixels, 32 to 512.
        subjects: number of people, at least 1.
        first_subject: number of the first of them, at least 0.
        mode: "correlated" samples action units with published base rates and correlations; "independent"
            keeps the base rates and drops every correlation except that AU24 excludes AU25 and AU26.

    Raises:
        ValueError: an argument is out of range; it is named, with what came and what was expected.
    """

    def __init__(self, count, *, seed=0, size=128, subjects=100, first_subject=0, mode="correlated"):
        self.count = whole_number("count", count, 0)
        self.seed = whole_number("seed", seed, 0, 2**63 - 1)
        self.size = whole_number("size", size, 32, 512)
        self.subjects = whole_number("subjects", subjects, 1)
        self.first_subject = whole_number("first_subject", first_subject, 0)
        self.mode = one_of("mode", mode, MODES)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        """The `SyntheticFace` at index; negative counts from the end; IndexError beyond either."""
        identity, scene, intensities = self._parts(index)
        image = render(identity, scene, intensities, self.size)
        return SyntheticFace(image, intensities, self.subject(index))

    def subject(self, index):
        """Number of the subject of one image."""
        return self.first_subject + self._place(index) % self.subjects

    def intensities(self, index):
        """Intensities, int8 [15] in 0 to 5, of one image, without rendering it."""
        place = self._place(index)
        return sample_intensities(self.mode, self.seed, [self.subject(place)], [place])[0]

    def labels(self, index):
        """Labels, bool [15], of one image: which intensities are at least 2."""
        return self.intensities(index) >= LABEL_THRESHOLD

    def all_intensities(self):
        """Intensities, int8 [count, 15], of every image."""
        places = np.arange(self.count)
        return sample_intensities(self.mode, self.seed, self.first_subject + places % self.subjects, places)

    def all_labels(self):
        """Labels, bool [count, 15], of every image."""
        return self.all_intensities() >= LABEL_THRESHOLD

    def regions(self, index):
        """True regions, bool [15, size, size], of one image.

        The region of an action unit is measured: the pixels that change by more than 4 of 255 when the same
        face in the same scene is drawn without it, closed by 3 pixels. It is empty where the intensity is 0,
        or where something lies in front.
        """
        return measure_regions(*self._parts(index), self.size)

    def neutralised(self, index, au):
        """One image with the region of one AU painted with the subject's neutral face: uint8 [size, size, 3].

        The neutral face is seen in the same scene. An image in which the intensity of `au` is 0 stays as it
        is.
        ValueError if `au` is not one of `AUS`.
        """
        column = COLUMN[one_of("au", au, AUS)]
        identity, scene, intensities = self._parts(index)
        image = render(identity, scene, intensities, self.size)
        if intensities[column]:
            region = measure_region(identity, scene, intensities, column, image)
            image[region] = render(identity, scene, np.zeros_like(intensities), self.size)[region]
        return image

    def _place(self, index):
        place = index + self.count if index < 0 else index
        if not 0 <= place < self.count:
            raise IndexError(f"index is {index}; expected {-self.count} to {self.count - 1}")
        return place

    def _parts(self, index):
        place = self._place(index)
        subject = self.subject(place)
        return (
            draw_identity(self.seed, subject),
            draw_scene(self.seed, subject, place),
            self.intensities(place),
        )
