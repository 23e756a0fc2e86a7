# SPDX-License-Identifier: GPL-3.0-or-later
"""Features on meshes whose shape is known by a formula: spheres, cylinders, boxes, sheets with holes."""

import math

import numpy as np
import pytest

from blender_addon.core.errors import UserError
from blender_addon.core.features.bump import Bump
from blender_addon.core.features.scratch import Scratch
from blender_addon.core.features.sticker import Sticker
from blender_addon.core.features.wanted import Wanted
from blender_addon.core.mesh.patch import ANOTHER_SURFACE, CURVATURE, EDGE, overlaps_box, patch_at, point_under
from blender_addon.core.mesh.placing import OTHERS, lay_features, lay_wanted
from blender_addon.core.mesh.tangent_frame import MOST_STRETCH, frame_at
from blender_addon.core.mesh.triangles import TriangleMesh


def grid(columns, rows, position) -> TriangleMesh:
    """A sheet of columns x rows quads at position(s, t), s and t in [0, 1]."""
    s, t = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    vertices = np.stack(position(s.ravel(), t.ravel()), axis=-1)
    corner = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, up = corner + 1, corner + columns + 1
    quads = np.concatenate([np.stack([corner, right, up + 1], 1), np.stack([corner, up + 1, up], 1)])
    return TriangleMesh(vertices, quads)


def sphere(radius, fine=160) -> TriangleMesh:
    def position(s, t):
        turn, height = 2 * np.pi * s, np.pi * t
        return (radius * np.sin(height) * np.cos(turn), radius * np.sin(height) * np.sin(turn),
                -radius * np.cos(height))

    return grid(2 * fine, fine, position)


def cylinder(radius, length, sides=180) -> TriangleMesh:
    def position(s, t):
        turn = 2 * np.pi * s
        return radius * np.cos(turn), radius * np.sin(turn), length * (t - 0.5)

    return grid(sides, 20, position)


def sheet(width, height, columns=1, rows=1, z=0.0) -> TriangleMesh:
    return grid(columns, rows, lambda s, t: (width * (s - 0.5), height * (t - 0.5), z + 0 * s))


def merged(*meshes) -> TriangleMesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return TriangleMesh(np.concatenate([mesh.vertices for mesh in meshes]),
                        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]))


def bump(diameter=4.0, seed=1) -> Bump:
    return Bump(0.0, 0.0, seed, diameter_mm=diameter)


def scratch(length=20.0, angle=0.0) -> Scratch:
    return Scratch(0.0, 0.0, 3, angle_deg=angle, length_mm=length, bow_mm=0.0, waver_um=0.0)


def reach(feature) -> float:
    left, right, low, high = feature.box_mm
    return math.hypot(max(abs(left), abs(right)), max(abs(low), abs(high)))


def test_points_are_even_over_the_area_however_it_is_cut():
    """Half of a sheet in two triangles, half in 5,000."""
    half = grid(50, 50, lambda s, t: (10 * s, 10 * t, 0 * s))
    mesh = merged(half, grid(1, 1, lambda s, t: (10 + 10 * s, 10 * t, 0 * s)))
    generator = np.random.default_rng(0)
    points = np.array([mesh.at_area(*generator.random(3))[0] for _ in range(4000)])
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[[0, 20], [0, 10]])
    assert ((counts - 250) ** 2 / 250).sum() < 37.7  # chi-square, 15 degrees of freedom, one in a thousand


def test_on_a_sphere_the_stretch_is_that_of_the_formula_and_large_features_are_skipped():
    radius = 20.0
    mesh, feature = sphere(radius, 60), bump(4.5)
    laid, skipped = lay_features(mesh, [feature], 5, 0, "x")
    assert not skipped and len(mesh.limits) == 0
    corner = 1 / math.sqrt(1 - (reach(feature) / radius) ** 2)
    assert 1 / math.sqrt(1 - (feature.box_mm[1] / radius) ** 2) < laid[0].stretch < corner * 1.02
    laid, skipped = lay_features(mesh, [bump(14.0)], 5, 0, "x")
    assert not laid and skipped[0].reasons == ((CURVATURE, 64),)
    assert skipped[0].parameters() == {"class": "bump", "reasons": {CURVATURE: 64}}


def test_lengths_on_a_sphere_are_within_the_bound():
    radius = 20.0
    mesh = sphere(radius, 60)
    (laid,), _ = lay_features(mesh, [bump(4.5)], 1, 0, "y")
    u_axis, v_axis, normal = laid.frame.axes
    half = laid.feature.box_mm[1]
    for angle in np.linspace(0, np.pi, 7):
        t = np.linspace(-half, half, 2001)
        u, v = t * np.cos(angle), t * np.sin(angle)
        h = np.sqrt(radius**2 - u**2 - v**2)
        length = np.hypot(np.diff(t), np.diff(h)).sum()
        assert 2 * half <= length <= laid.stretch * 2 * half * 1.001 < MOST_STRETCH * 2 * half
    assert abs(u_axis @ v_axis) < 1e-8 and np.cross(u_axis, v_axis) @ normal == pytest.approx(1.0)


def test_the_mask_on_a_sphere_is_the_field_along_the_normal_and_not_on_the_far_side():
    radius = 20.0
    (laid,), _ = lay_features(sphere(radius, 60), [bump(4.5)], 2, 0, "z")
    generator = np.random.default_rng(1)
    normals = generator.normal(size=(200_000, 3))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    inside = laid.field(normals * radius, normals).inside
    origin = np.array(laid.frame.origin_mm)
    relative = normals * radius - origin
    n = np.array(laid.frame.normal)
    u, v = relative @ np.array(laid.frame.u_axis), relative @ np.array(laid.frame.v_axis)
    expected = laid.feature.field(*laid.feature.to_local(np.stack([u, v], -1))).inside & (normals @ n > 0)
    assert np.array_equal(inside, expected) and 100 < inside.sum() < 10_000
    share = laid.feature.field(*np.meshgrid(*[np.linspace(-6, 6, 1201)] * 2)).inside.sum() * 1e-4
    assert inside.mean() * 4 * np.pi * radius**2 == pytest.approx(share, rel=0.08)


def test_a_scratch_lies_along_a_shaft_and_not_around_it():
    """U of the frame is the object's x, or y; the shaft's axis is z: angle 90 is along it."""
    shaft = cylinder(6.0, 120.0)
    along, _ = lay_features(shaft, [scratch(40.0, 90.0)], 1, 0, "s")
    assert len(along) == 1 and along[0].stretch < 1.01
    around, skipped = lay_features(shaft, [scratch(40.0, 0.0)], 1, 0, "s")
    assert not around and dict(skipped[0].reasons)[CURVATURE] > 40
    heights = [abs(lay_features(shaft, [scratch(40.0, 90.0)], 1, k, "s")[0][0].frame.origin_mm[2]) for k in range(12)]
    assert max(heights) < 60 - 20 - 1 + 1e-6, "off the shaft's ends"


def box_mesh(size) -> TriangleMesh:
    x, y, z = np.array(size) / 2
    vertices = np.array([(i * x, j * y, k * z) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    return TriangleMesh(vertices, np.array(triangles))


@pytest.mark.parametrize("split", [False, True])
def test_features_keep_off_the_edges_of_a_box(split):
    mesh = box_mesh((40.0, 30.0, 20.0))
    if split:  # as CAD programs write it: corners of its own for each face
        mesh = TriangleMesh(mesh.corners.reshape(-1, 3), np.arange(3 * len(mesh.triangles)).reshape(-1, 3))
    assert len(mesh.limits) == 12 and len(mesh.neighbours) == 6
    faces = set()
    for k in range(60):
        laid, _ = lay_features(mesh, [bump(3.0)], 3, k, "b", border_mm=2.0)
        place, normal = np.array(laid[0].frame.origin_mm), np.array(laid[0].frame.normal)
        axis = int(np.argmax(np.abs(normal)))
        faces.add((axis, normal[axis] > 0))
        room = np.delete(np.array([20.0, 15.0, 10.0]) - np.abs(place), axis)
        assert room.min() >= min(np.abs(laid[0].feature.box_mm)) + 2.0 - 1e-6 and laid[0].stretch == 1.0
    assert len(faces) == 6


def test_features_keep_off_holes():
    ring = grid(120, 4, lambda s, t: ((5 + 15 * t) * np.cos(2 * np.pi * s), -(5 + 15 * t) * np.sin(2 * np.pi * s),
                                      0 * s))
    for k in range(40):
        laid, _ = lay_features(ring, [bump(4.0)], 9, k, "h", border_mm=0.5)
        away = np.hypot(*laid[0].frame.origin_mm[:2])
        assert 7.4 < away < 17.6


def test_the_back_of_a_thin_plate_is_clean_and_a_second_sheet_is_refused():
    plate = box_mesh((60.0, 60.0, 1.0))
    laid, _ = lay_features(plate, [bump(5.0)], 4, 0, "p")
    frame = laid[0].frame
    origin, normal = np.array(frame.origin_mm), np.array(frame.normal)
    assert laid[0].field(origin[None], normal[None]).inside.all()
    assert not laid[0].field((origin - normal)[None], -normal[None]).inside.any()
    double = merged(sheet(60.0, 60.0), sheet(60.0, 60.0, z=-0.01))
    triangle = double.at_area(0.2, 0.5, 0.5)[1]
    assert patch_at(double, np.array([3.0, 4.0, 0.0]), triangle, bump(5.0), 1.0) == ANOTHER_SURFACE


def test_features_keep_apart_and_what_finds_no_room_says_so():
    stickers = [Sticker(0.0, 0.0, k, width_mm=16.0, height_mm=10.0) for k in range(12)]
    laid, skipped = lay_features(sheet(60.0, 60.0), stickers, 6, 0, "f", distance_mm=2.0)
    assert laid and skipped and all(set(dict(each.reasons)) <= {OTHERS, EDGE} for each in skipped)
    places = np.array([each.frame.origin_mm for each in laid])
    away = np.linalg.norm(places[:, None] - places, axis=-1)[np.triu_indices(len(places), 1)]
    assert away.min() >= 2 * reach(stickers[0]) + 2.0 - 1e-6


def test_placing_is_a_function_of_its_seed_and_one_more_feature_moves_none():
    mesh = sphere(30.0, 60)
    one, _ = lay_features(mesh, [bump(3.0, 1)], 7, 3, "q")
    two, _ = lay_features(mesh, [bump(3.0, 1), bump(4.0, 2)], 7, 3, "q")
    again, _ = lay_features(mesh, [bump(3.0, 1)], 7, 3, "q")
    assert one == again == two[:1] and len(two) == 2
    assert lay_features(mesh, [bump(3.0, 1)], 8, 3, "q")[0] != one


def test_boxes_and_triangles_overlap_as_brute_force_says():
    generator = np.random.default_rng(2)
    shapes = generator.uniform(-3, 3, (400, 3, 2))
    low, high = np.array([-1.0, -0.5]), np.array([0.7, 0.9])
    weights = generator.dirichlet((0.5, 0.5, 0.5), 4000)
    points = np.einsum("kc,nca->nka", weights, shapes)
    hit = ((points >= low) & (points <= high)).all(axis=-1).any(axis=1)
    found = overlaps_box(shapes, low, high)
    assert found[hit].all() and (found & ~hit).mean() < 0.05 and 0.1 < hit.mean() < 0.9


def test_a_frame_holds_a_flat_patch_whatever_its_direction():
    frame = frame_at(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.6, 0.8]), 5.0, 1.0)
    corners = np.array(frame.origin_mm) + np.array([[5, 0], [0, -5], [3, 4]]) @ frame.axes[:2]
    assert frame.holds(corners, np.broadcast_to(frame.normal, corners.shape)).all()


def test_refuses_what_is_no_surface():
    with pytest.raises(UserError, match="surface with an area"):
        TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(UserError, match="expected vertices"):
        TriangleMesh(np.zeros((3, 2)), np.array([[0, 1, 2]]))


def test_over_several_surfaces_features_are_even_over_their_common_area():
    small, large = sheet(30.0, 30.0), sheet(60.0, 30.0, 9, 9)
    counts = np.zeros(2)
    for k in range(600):
        (laid,), _ = lay_wanted([small, large], [Wanted(bump(1.0), "s", 0.0)], 1, k)
        counts[laid.surface] += 1
    assert ((counts - [200, 400]) ** 2 / [200, 400]).sum() < 10.8  # chi-square, one degree, one in a thousand


def test_what_is_to_lie_on_a_defect_lies_on_one():
    mesh = cylinder(40.0, 200.0)
    label = Sticker(0.0, 0.0, 2, width_mm=8.0, height_mm=5.0)
    wanted = [Wanted(scratch(30.0, 90.0), "scratch0"), Wanted(label, "sticker0", on_defect=True)]
    for k in range(20):
        laid, skipped = lay_wanted([mesh], wanted, 3, k)
        assert not skipped and np.linalg.norm(
            np.subtract(laid[0].frame.origin_mm, laid[1].frame.origin_mm)) <= 0.55 * reach(laid[0].feature)
    alone, _ = lay_wanted([mesh], wanted[1:], 3, 0)
    assert len(alone) == 1, "without a defect it lies anywhere"


def test_the_point_over_a_place_of_the_frame_is_the_one_on_this_side():
    mesh = sphere(20.0, 60)
    frame = frame_at(np.array([0.0, 0.0, 20.0]), np.array([0.0, 0.0, 1.0]), 8.0, 0.9)
    point, triangle = point_under(mesh, frame, 3.0, 4.0)
    assert frame.to_frame(point)[:2] == pytest.approx([3.0, 4.0]) and mesh.normals[triangle][2] > 0.9
    assert np.linalg.norm(point) == pytest.approx(20.0, abs=0.05)
    assert point_under(mesh, frame, 30.0, 0.0) is None
