"""Make all tables and numbers of pages known."""

from pages import ablations, decoding, images, shapes, speed, volumes

__all__ = ["ablations", "decoding", "images", "shapes", "speed", "volumes"]
