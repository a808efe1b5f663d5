"""Synthetic faces with known eyes, and files made from them."""

import os
from pathlib import Path

import cv2
import numpy as np

from sma_models.synthetic import AUS
from sma_models.synthetic.identity import draw_identity
from sma_models.synthetic.projection import SHIFT, Projection
from sma_models.synthetic.render import landmarks, render
from sma_models.synthetic.scene import PLAIN

REAL = Path(os.environ.get("SMA_REAL_FACES", Path(__file__).parents[3] / "shared" / "data" / "real_faces"))
NEUTRAL = np.zeros(len(AUS), np.int8)


def drawn(subject):
    """A synthetic face of 256 pixels and the centers of its eyes [2,2]."""
    identity = draw_identity(0, subject)
    eyes = [eye.center for eye in landmarks(identity, PLAIN, NEUTRAL).eyes]
    return render(identity, PLAIN, NEUTRAL, 256), Projection(PLAIN, 256)(np.array(eyes)) / 2**SHIFT


def moved(image, degrees, scale, shift, size=(400, 480)):
    """`image` rotated and scaled about its center and shifted, on a grey image of `size`, and the transform [2,3]."""
    matrix = cv2.getRotationMatrix2D((127.5, 127.5), degrees, scale)
    matrix[:, 2] += shift
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, size[::-1], flags=flags, borderValue=(128, 128, 128)), matrix


def save(path, image):
    """Write an RGB image in the format of the file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))


def write_video(path, images, fps=10.0, codec="MJPG"):
    """Write RGB images, which may come from a generator; without `codec` as Motion JPEG."""
    writer = None
    for image in images:
        if writer is None:
            height, width = image.shape[:2]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (width, height))
        writer.write(np.ascontiguousarray(image[..., ::-1]))
    writer.release()


def write_uneven_video(path, images, times):
    """Write RGB images as Matroska, with a time in seconds (to a thousandth) for each, as phones do."""

    def element(name, *parts):
        body = b"".join(parts)
        return bytes.fromhex(name) + (1 << 56 | len(body)).to_bytes(8, "big") + body

    def number(name, value):
        return element(name, int(value).to_bytes(4, "big"))

    height, width = images[0].shape[:2]
    size = element("e0", number("b0", width), number("ba", height))
    track = element("ae", number("d7", 1), number("73c5", 1), number("83", 1), element("86", b"V_MJPEG"), size)
    clusters = []
    for image, time in zip(images, times, strict=True):
        stored = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()
        block = element("a3", b"\x81\x00\x00\x80", stored)
        clusters.append(element("1f43b675", number("e7", round(1000 * time)), block))
    length = element("4489", np.array(1000 * times[-1], ">f8").tobytes())
    segment = element(
        "18538067", element("1549a966", number("2ad7b1", 1_000_000), length), element("1654ae6b", track), *clusters
    )
    path.write_bytes(element("1a45dfa3", element("4282", b"matroska")) + segment)
