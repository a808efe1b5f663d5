"""Arithmetic of RGB colors in 0 to 255."""

from sma_models.synthetic.types import Color, FloatArray


def as_color(channels: FloatArray) -> Color:
    """Three channels, float64 [3], as a color."""
    red, green, blue = channels.tolist()
    return (red, green, blue)


def shade(color: Color, factor: float) -> Color:
    """A color darkened by a factor below 1, or lightened by one above 1."""
    red, green, blue = (min(255.0, channel * factor) for channel in color)
    return (red, green, blue)


def mix(first: Color, second: Color, share: float) -> Color:
    """The color that is `share` of the way from the first to the second."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (red, green, blue)
