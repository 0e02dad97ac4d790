"""Sections by planes whose outlines are known."""

import numpy as np
import pytest

from doh3d.errors import ConfigError


def test_the_middle_section_of_an_octahedron_is_a_square(octahedron):
    transform = octahedron.code.transform
    section = octahedron.slice(transform.rotation @ [0, 0, 3.0], resolution=256)
    side = 0.7 * transform.scale
    assert section.area == pytest.approx(2 * side**2, rel=1e-3)
    (outline,) = section.polygons
    points = section.to_space(outline)
    local = transform.to_normalized(points)
    np.testing.assert_allclose(local[:, 2], 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(local).sum(axis=1), 0.7, atol=0.01)
    assert np.abs(octahedron.logits(points)).max() < 0.01


def test_axes_turn_right_and_places_are_those_of_the_logits(single):
    for axis, right in ((0, 1), (1, 2), (2, 0)):
        section = single.slice(np.eye(3)[axis], resolution=32)
        np.testing.assert_array_equal(section.axes[0], np.eye(3)[right])
        np.testing.assert_array_equal(np.cross(*section.axes), np.eye(3)[axis])
    rows, columns = np.mgrid[: section.logits.shape[0], : section.logits.shape[1]]
    places = section.low + section.spacing * np.stack([columns.ravel(), rows.ravel()], axis=1)
    expected = single.logits(section.to_space(places)).reshape(section.logits.shape)
    np.testing.assert_allclose(section.logits, expected, atol=1e-5)


def test_a_plane_may_miss(single):
    section = single.slice((0, 0, 1), single.bounds[1] + 1, resolution=16)
    assert section.polygons == []
    assert section.area == 0
    assert np.isneginf(section.logits).all()
    assert np.asarray(section.picture()).min() == 255


def test_a_picture_shows_the_section(single, full):
    section = single.slice((0, 0, 1), resolution=64)
    picture = np.asarray(section.picture())
    assert picture.shape == section.logits.shape
    dark = (255 - picture.astype(float)).sum() / (255 - 60) * section.spacing**2
    assert dark == pytest.approx(section.area, rel=0.02)
    # The highest row is at the top.
    up = single.slice((0, 0, 1), single.bounds.mean(axis=0) - [0, 0.5, 0], resolution=64)
    rows = np.nonzero((np.asarray(up.picture()) < 128).any(axis=1))[0]
    assert rows.mean() == pytest.approx((picture.shape[0] - 1) / 2, abs=1)
    assert np.asarray(full.slice((1, 0, 0), resolution=16).picture()).min() == 60


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        (((0, 0, 0),), {}, ConfigError, "the normal is 0, 0, 0"),
        (((0, 1),), {}, ConfigError, r"normal has shape \(2,\); it must be three numbers"),
        (("up",), {}, TypeError, "the normal is 'up'; it must be three numbers"),
        (((0, 0, 1), (0, np.inf, 0)), {}, ConfigError, "origin is .* must be finite"),
        (((0, 0, 1),), {"resolution": 7}, ConfigError, "resolution is 7; it must be 8 to 4096"),
        (((0, 0, 1),), {"resolution": "a"}, TypeError, "whole number"),
    ],
)
def test_what_is_wrong_is_said(single, arguments, options, kind, message):
    with pytest.raises(kind, match=message):
        single.slice(*arguments, **options)
