"""Photos of packages: catalog shots, and the harder ones that customers and merchandisers take."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from packsight.deploy.demo.shop.backdrops import BACKDROPS, Canvas, of_three
from packsight.deploy.demo.shop.camera import expose, light
from packsight.deploy.demo.shop.products import Item, Shape
from packsight.deploy.demo.shop.solids import Sprite, View, solid

SCENES = ("table", "shelf", "kitchen", "room", "cloth")
"""Where query photos are taken."""


def catalog_photo(item: Item, number: int, rng: np.random.Generator) -> bytes:
    """JPEG of a product for the shop: 0 in front of white, 1 turned, 2 on a table or cloth in someone's home."""
    height, width = (720, 640) if number < 2 else (760, 600)
    place = "studio" if number < 2 else str(rng.choice(["table", "cloth", "room"]))
    scene = BACKDROPS[place](rng, height, width)
    side = rng.choice([-1, 1])
    yaw = float(side * (rng.uniform(0, 0.08), rng.uniform(0.25, 0.42), rng.uniform(0, 0.25))[number])
    strength = (0.25, 0.5, 0.7)[number]
    pack = _posed(item, yaw, rng, scene.shape, fill=0.8, strength=strength * 0.5)
    _stand(scene, pack, width / 2, height * 0.93, rng)
    return expose(light(scene, rng, strength), rng, strength * 0.6)


def query_photo(
    item: Item, place: str, strangers: Sequence[Item], rng: np.random.Generator, *, occluded: bool
) -> bytes:
    """JPEG of a product as somebody meets it: tilted, among things, in any light, partly covered if `occluded`."""
    height, width = (int(length) for length in rng.choice([(900, 680), (800, 640), (760, 760), (700, 900), (860, 640)]))
    scene = BACKDROPS[place](rng, height, width)
    ground = height * (0.91 if place == "shelf" else rng.uniform(0.88, 0.95))
    x = width * rng.uniform(0.42, 0.58)
    yaw, fill = float(rng.uniform(-0.38, 0.38)), float(rng.uniform(0.56, 0.82))
    pack = _posed(item, yaw, rng, scene.shape, fill=fill, strength=1.0)
    for direction in (-1, 1):
        thing = _bystander(place, strangers, height, rng)
        if thing is not None:
            aside = x + direction * (pack.shape[1] / 2 + thing.shape[1] * rng.uniform(0.42, 0.6))
            _stand(scene, thing, aside, ground - rng.uniform(8, 24), rng)
    _stand(scene, pack, x, ground, rng)
    if occluded:
        _cover(scene, pack, x, ground, rng)
    return expose(light(scene, rng, 1.0), rng, float(rng.uniform(0.4, 1.0)))


def _posed(
    item: Item, yaw: float, rng: np.random.Generator, room: tuple[int, ...], *, fill: float, strength: float
) -> Sprite:
    """A package turned, tilted and in perspective, its height and width at most `fill` of the photo's."""
    height, width = room[:2]
    flat = item.family.shape in (Shape.BOX, Shape.CARTON)
    pitch = float(rng.uniform(0.02, 0.24))
    sprite = solid(item, View(yaw if flat else yaw * 0.6, pitch, round(height * fill * (0.82 if flat else 1.0))))
    h, w = sprite.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    turn = rng.normal(0, 0.07 * strength)
    around = (corners - corners.mean(0)) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    moved = (around + rng.uniform(-0.035, 0.035, (4, 2)) * strength * (w, h)).astype(np.float32)
    moved -= moved.min(0)
    extent = moved.max(0)
    moved *= min(1.0, fill * width / extent[0], fill * height / extent[1])
    size = np.ceil(moved.max(0)).astype(int).tolist()
    matrix = cv2.getPerspectiveTransform(corners, moved)
    *colours, cover = cv2.split(sprite)
    covered = cv2.merge([*(colour * cover for colour in colours), cover])
    *colours, cover = cv2.split(cv2.warpPerspective(covered, matrix, size, flags=cv2.INTER_AREA))
    share = np.maximum(cover, np.float32(1e-3))
    return np.asarray(cv2.merge([*(colour / share for colour in colours), cover]), np.float32)


def _place(scene: Canvas, sprite: Sprite, left: int, top: int) -> None:
    """Lay a sprite over the scene; what hangs over the edge is cut."""
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(scene.shape[0], top + sprite.shape[0]), min(scene.shape[1], left + sprite.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    *colours, cover = cv2.split(sprite[y0 - top : y1 - top, x0 - left : x1 - left])
    spot = scene[y0:y1, x0:x1]
    step = np.asarray(cv2.merge(colours), np.float32)
    step -= spot
    step *= of_three(cover)
    spot += step


def _stand(scene: Canvas, sprite: Sprite, x: float, ground: float, rng: np.random.Generator) -> None:
    """Put a thing down: a dark line where it touches, a soft shadow to one side, then itself."""
    h, w = sprite.shape[:2]
    dark = np.zeros((scene.shape[0] // 4, scene.shape[1] // 4), np.float32)
    foot = (round(x / 4), round(ground / 4))
    cv2.ellipse(dark, foot, (round(w * 0.13), max(2, round(h * 0.006))), 0, 0, 360, 0.8, -1)
    lean = rng.choice([-1, 1]) * w * rng.uniform(0.1, 0.3)
    near, far = ground, ground - h * 0.3
    cast = np.array([[x - w * 0.45, near], [x + w * 0.45, near], [x + w * 0.4 + lean, far], [x - w * 0.4 + lean, far]])
    cv2.fillConvexPoly(dark, np.round(cast / 4).astype(np.int32), 0.35)
    soft = cv2.resize(cv2.GaussianBlur(dark, (0, 0), 3), (scene.shape[1], scene.shape[0]))
    scene *= of_three(1 - soft)
    _place(scene, sprite, round(x - w / 2), round(ground - h))


def _bystander(place: str, strangers: Sequence[Item], height: int, rng: np.random.Generator) -> Sprite | None:
    """What stands beside the package: a foreign pack (always on a shelf), a ball, or nothing; a little out of focus."""
    chance = rng.random()
    if place == "shelf" or chance < 0.4:
        other = strangers[int(rng.integers(len(strangers)))]
        sprite = solid(other, View(float(rng.uniform(-0.3, 0.3)), 0.08, int(height * rng.uniform(0.4, 0.58))))
        return np.asarray(cv2.GaussianBlur(sprite, (0, 0), rng.uniform(1.5, 4)), np.float32)
    if chance > 0.75:
        return None
    radius = int(rng.integers(40, 90))
    y, x = np.ogrid[-1 : 1 : radius * 2j, -1 : 1 : radius * 2j]
    inside = np.clip(1 - x**2 - y**2, 0, 1)
    lit = 0.35 + 0.7 * np.clip(np.sqrt(inside) - 0.3 * x - 0.3 * y, 0, 1.2)
    colour = np.clip(rng.uniform(40, 240, 3) * lit[..., None], 0, 255)
    return np.concatenate([colour, np.clip(inside * radius / 4, 0, 1)[..., None]], 2).astype(np.float32)


def _cover(scene: Canvas, sprite: Sprite, x: float, ground: float, rng: np.random.Generator) -> None:
    """Cover part of the package, never the band of its variant: fingers from a side, a sticker, or a glare."""
    h, w = sprite.shape[:2]
    left, top = x - w / 2, ground - h
    kind, direction = rng.integers(3), rng.choice([-1, 1])
    layer = np.zeros((*scene.shape[:2], 4), np.float32)
    if kind == 0:
        skin = np.array([226, 176, 146], np.float32) * rng.uniform(0.45, 1.05)
        thick = round(h * 0.075)
        for number in range(3):
            y = top + h * (0.30 + 0.085 * number) + rng.uniform(-4, 4)
            root = (round(x + direction * w * 0.75), round(y + 14))
            tip = (round(x + direction * w * rng.uniform(0.26, 0.36)), round(y))
            lit = (tip[0], tip[1] - thick // 8)
            cv2.line(layer, root, tip, (*(skin * 0.72).tolist(), 1.0), thick, cv2.LINE_AA)
            cv2.line(layer, root, lit, (*skin.tolist(), 1.0), round(thick * 0.72), cv2.LINE_AA)
    elif kind == 1:
        centre = (round(x + direction * w * rng.uniform(0.28, 0.36)), round(top + h * rng.uniform(0.34, 0.5)))
        cv2.circle(layer, centre, round(w * 0.15), (*rng.uniform(120, 255, 3).tolist(), 1.0), -1, cv2.LINE_AA)
    else:
        start = left + w * rng.uniform(0.05, 0.8)
        upper, lower = (start, start + w * 0.12), (start + w * 0.02, start - w * 0.06)
        glare = np.array([[upper[0], top], [upper[1], top], [lower[0], ground], [lower[1], ground]])
        cv2.fillConvexPoly(layer, np.round(glare).astype(np.int32), (255, 255, 255, 0.55), cv2.LINE_AA)
        layer = np.asarray(cv2.blur(layer, (9, 9)), np.float32)
    _place(scene, layer, 0, 0)
