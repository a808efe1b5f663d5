"""Renders one face from identity, scene and intensities."""

from sma_models.synthetic.camera import photograph
from sma_models.synthetic.geometry import Face, build_face
from sma_models.synthetic.identity import Identity
from sma_models.synthetic.marks import build_marks
from sma_models.synthetic.painter import BASE, paint
from sma_models.synthetic.scene import Scene, strengths
from sma_models.synthetic.types import Image, Intensities


def landmarks(identity: Identity, scene: Scene, intensities: Intensities) -> Face:
    """The `Face` of an identity that shows intensities [15], in face coordinates, before pose."""
    return build_face(identity, scene, *strengths(identity, scene, intensities))


def render(identity: Identity, scene: Scene, intensities: Intensities, size: int) -> Image:
    """uint8 RGB [size, size, 3] of an identity that shows intensities [15] in a scene."""
    left, right = strengths(identity, scene, intensities)
    face = build_face(identity, scene, left, right)
    marks = build_marks(identity, face, left, right)
    # Strokes cannot be thinner than a pixel, so a small image is painted larger and shrunk.
    canvas = BASE * -(-size // BASE)
    return photograph(paint(identity, scene, face, marks, canvas), scene, size)
