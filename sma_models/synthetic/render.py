"""One face, from what it shows to pixels."""

from sma_models.synthetic.camera import photograph
from sma_models.synthetic.geometry import build_face
from sma_models.synthetic.marks import build_marks
from sma_models.synthetic.painter import BASE, paint
from sma_models.synthetic.scene import strengths


def landmarks(identity, scene, intensities):
    """The `Face` of an identity showing intensities [15], in face coordinates, before pose."""
    return build_face(identity, scene, *strengths(identity, scene, intensities))


def render(identity, scene, intensities, size):
    """uint8 RGB [size, size, 3] of an identity showing intensities [15] in a scene."""
    left, right = strengths(identity, scene, intensities)
    face = build_face(identity, scene, left, right)
    marks = build_marks(identity, face, left, right)
    # Strokes cannot be thinner than a pixel, so a small picture is drawn larger and shrunk.
    canvas = BASE * -(-size // BASE)
    return photograph(paint(identity, scene, face, marks, canvas), scene, size)
