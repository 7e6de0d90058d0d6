"""Taking the picture: light, optics, and what else is in view (hair, ruler, drape, vignette)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, uniform_filter

from skingpt_r1.render.skin import Canvas, Field, cut

MODALITIES = ("clinic photo", "phone", "dermoscope")


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How one picture is taken; lengths are in pixels of the 112-pixel picture."""

    modality: str  # one of `MODALITIES`
    light: float = -2.2  # its direction in radians
    slant: float = 0.32  # strength of the shading by relief
    falloff: float = 0.0  # loss of light across the picture, 0..1
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # gain per colour channel
    exposure: float = 1.0  # overall gain
    blur: float = 0.0  # standard deviation of the optical blur
    noise: float = 0.0  # standard deviation of the sensor noise
    hairs: int = 0
    ruler: str = ""  # side of the picture with ruler ticks; "" for none
    drape: str = ""  # side of the picture with cloth; "" for none
    vignette: float = 0.0  # radius of the round field; 0 for none
    texture: float = 1.0  # strength of the skin's own texture

    @property
    def field(self) -> tuple[float, float, float]:
        """Centre x, y and radius of the part of the picture where lesions are drawn."""
        x = y = 56.0
        for side in (self.drape, self.ruler):
            x += {"left": 4.0, "right": -4.0}.get(side, 0.0)
            y += {"top": 4.0, "bottom": -4.0}.get(side, 0.0)
        blocked = bool(self.drape) + bool(self.ruler)
        radius = min(56.0 - 4 * blocked, self.vignette - 1 if self.vignette else 60.0)
        return x, y, radius


SIDES = ("left", "right", "top", "bottom")


def set_up_camera(modality: str, rng: np.random.Generator) -> Camera:
    """A camera of this kind with random nuisance."""
    phone, dermoscope = modality == "phone", modality == "dermoscope"
    cast = 0.05 if phone else 0.025
    warmth = rng.uniform(-cast, cast)
    drape, ruler = "", ""
    if not dermoscope and rng.random() < (0.25 if phone else 0.35):
        drape = str(rng.choice(SIDES))
    if rng.random() < (0.08 if phone else 0.25):
        ruler = str(rng.choice([side for side in SIDES if side != drape]))
    return Camera(
        modality=modality,
        light=float(rng.uniform(-np.pi, np.pi)),
        slant=float(rng.uniform(0.26, 0.40)),
        falloff=float(rng.uniform(0, 0.28 if phone else 0.12)),
        tint=(1 + warmth, float(1 + rng.uniform(-0.012, 0.012)), 1 - warmth),
        exposure=float(rng.uniform(0.86, 1.08) if phone else rng.uniform(0.93, 1.05)),
        blur=float(rng.uniform(0.2, 0.8) if phone else rng.uniform(0, 0.45)),
        noise=float(rng.uniform(0.012, 0.030) if phone else rng.uniform(0.004, 0.014)),
        hairs=int(rng.integers(3, 11)) if rng.random() < 0.35 else 0,
        ruler=ruler,
        drape=drape,
        vignette=float(rng.uniform(52, 58)) if dermoscope else 0.0,
        texture=float(rng.uniform(1.0, 1.5) if dermoscope else rng.uniform(0.5, 1.1)),
    )


def _light(canvas: Canvas, camera: Camera) -> Field:
    """The lit picture [side, side, 3]: relief becomes light, shade and highlights."""
    padded = np.pad(canvas.height, 1, mode="edge")
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    x, y = np.cos(camera.light), np.sin(camera.light)
    facing = np.float32(-0.5 * x) * across + np.float32(-0.5 * y) * down
    hollow = canvas.height - uniform_filter(canvas.height, int(7 * canvas.scale) | 1)
    shade = 1 + camera.slant * np.tanh(facing * np.float32(1.3)) * np.float32(1.35)
    shade += np.clip(np.float32(0.05 / canvas.scale) * hollow, -0.16, 0.12)
    if camera.falloff:
        ramp = np.linspace(-0.5, 0.5, len(canvas.height), dtype=np.float32)
        shade *= 1 + np.float32(camera.falloff) * (x * ramp[None, :] + y * ramp[:, None])
    mirror = np.exp(-(((facing - 0.42) / 0.16) ** 2)) * canvas.gloss
    lit = canvas.colour * shade[..., None]
    lit += (np.float32(0.55) * mirror)[..., None] * (1 - np.clip(lit, 0, 1))
    gain = np.array(camera.tint, np.float32) * np.float32(camera.exposure)
    return np.asarray(lit * gain, dtype=np.float32)


def _draw_hairs(picture: Field, camera: Camera, rng: np.random.Generator) -> None:
    side = len(picture)
    fine = 2 * side
    mask = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(mask)
    angle = rng.uniform(0, np.pi)
    t = np.linspace(-0.5, 0.5, 9)
    for _ in range(camera.hairs):
        course, length = angle + rng.normal(0, 0.35), fine * rng.uniform(0.25, 0.8)
        bow, (x, y) = rng.uniform(-0.25, 0.25) * length, rng.uniform(0, fine, 2)
        along, across = t * length, bow * (1 - 4 * t * t)
        xs = x + along * np.cos(course) - across * np.sin(course)
        ys = y + along * np.sin(course) + across * np.cos(course)
        points = [(float(a), float(b)) for a, b in zip(xs, ys, strict=True)]
        pen.line(points, fill=255, width=max(1, round(fine / 112)))
    shade = rng.uniform(0.05, 0.28)
    weight = np.asarray(mask.reduce(2), dtype=np.float32)[..., None] * np.float32(0.85 / 255)
    picture += weight * (np.array((shade, shade * 0.8, shade * 0.65), np.float32) - picture)


def _turned(strip: NDArray[np.float32], side: str) -> NDArray[np.float32]:
    """A view of the picture in which `side` is the top."""
    return {
        "top": strip,
        "bottom": strip[::-1],
        "left": strip.transpose(1, 0, 2),
        "right": strip.transpose(1, 0, 2)[::-1],
    }[side]


def _draw_drape(picture: Field, camera: Camera, scale: float, rng: np.random.Generator) -> None:
    view = _turned(picture, camera.drape)
    side = len(view)
    colours = ((0.16, 0.33, 0.55), (0.15, 0.45, 0.42), (0.80, 0.82, 0.84), (0.30, 0.31, 0.35))
    colour = np.array(colours[rng.integers(len(colours))], np.float32)
    across = np.linspace(-1, 1, side)
    edge = scale * (
        rng.uniform(5, 11) + rng.uniform(-4, 4) * across + rng.uniform(-3, 3) * across**2
    )
    rows = np.arange(int(22 * scale))[:, None]
    weight = np.clip(edge[None, :] - rows, 0, 1).astype(np.float32)[..., None]
    weave = 1 + 0.08 * cut(rng, "medium", (len(rows), side), scale)
    weave = weave + 0.05 * cut(rng, "grain", (len(rows), side), scale)
    shadow = np.clip(1 - np.abs(rows - edge[None, :]) / (4 * scale), 0, 1).astype(np.float32)
    strip = view[: len(rows)]
    strip *= 1 - 0.30 * shadow[..., None]
    strip += weight * (colour * weave[..., None].astype(np.float32) - strip)


def _draw_ruler(picture: Field, camera: Camera, scale: float, rng: np.random.Generator) -> None:
    view = _turned(picture, camera.ruler)
    depth, step = round(7 * scale), rng.uniform(4.5, 7) * scale
    if camera.modality != "dermoscope":
        view[:depth] = np.array((0.90, 0.90, 0.86), np.float32)
    for number, place in enumerate(np.arange(rng.uniform(0, step), len(view) - scale, step)):
        length = depth if number % 5 == 0 else round(0.55 * depth)
        column = int(place)
        view[:length, column : column + max(1, round(scale))] *= np.float32(0.22)


def _draw_vignette(picture: Field, camera: Camera, scale: float) -> None:
    side = len(picture)
    axis = np.arange(side, dtype=np.float32) + np.float32(0.5 - side / 2)
    away = np.hypot(axis[:, None], axis[None, :]) / np.float32(scale)
    bright = np.clip(camera.vignette - away, 0, 1) * (1 - 0.16 * (away / camera.vignette) ** 4)
    picture *= bright[..., None]
    picture += (1 - np.clip(camera.vignette - away, 0, 1))[..., None] * np.float32(0.03)


def take_picture(canvas: Canvas, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The photograph [side, side, 3] of a canvas."""
    picture = _light(canvas, camera)
    if camera.hairs:
        _draw_hairs(picture, camera, rng)
    if camera.drape:
        _draw_drape(picture, camera, canvas.scale, rng)
    if camera.ruler:
        _draw_ruler(picture, camera, canvas.scale, rng)
    if camera.blur > 0.3:
        sigma = camera.blur * canvas.scale
        picture = gaussian_filter(picture, (sigma, sigma, 0), truncate=2.5)
    if camera.vignette:
        _draw_vignette(picture, camera, canvas.scale)
    if camera.noise:
        picture += np.float32(camera.noise) * rng.standard_normal(picture.shape, np.float32)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
