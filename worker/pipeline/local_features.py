"""Key points of a photo, and its thumbnail: what the matcher needs to lay two photos over each other."""

from __future__ import annotations

import math

import cv2
import numpy as np

from packsight.shared.parameters import DETAILS, DetailParameters
from packsight.shared.vision.features import LocalFeatures
from packsight.worker.pipeline.decode import Photo, Pixels


def local_features(photo: Photo, parameters: DetailParameters = DETAILS) -> LocalFeatures:
    """Find the strongest key points of a grey copy of a photo, strongest first.

    Points are oriented corners on a pyramid (ORB: Rublee et al., "ORB: an efficient alternative to SIFT or SURF", ICCV 2011):
    print is corners, and with them all costs a third of SIFT with its own. They are described by SIFT histograms (Lowe,
    IJCV 2004) as root-SIFT (Arandjelović & Zisserman, "Three things everyone should know to improve object retrieval", CVPR
    2012): divided by their sum, square root taken; their Euclidean distance is the Hellinger distance of the histograms.
    Stored as uint8, scaled, clipped at 255. A photo without key points gives arrays [0, 2] and [0, 128].
    """
    grey = cv2.cvtColor(_fit(photo.pixels, parameters.side), cv2.COLOR_RGB2GRAY)
    # Made per call: detectors hold buffers and are not meant for several threads.
    corners = cv2.ORB.create(
        parameters.points,
        scaleFactor=parameters.step,
        nlevels=parameters.levels,
        edgeThreshold=parameters.edge,
        patchSize=parameters.patch,
        fastThreshold=parameters.contrast,
    ).detect(grey)
    found, histograms = cv2.SIFT.create().compute(grey, [_as_sift(corner, parameters) for corner in corners])
    if not found or histograms is None:
        return LocalFeatures(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    height, width = grey.shape[:2]
    # OpenCV counts from the centre of the first pixel, shares from its corner.
    points = (np.array([point.pt for point in found], np.float32) + 0.5) / np.array([width, height], np.float32)
    strength = np.array([point.response for point in found])
    # Ties are broken by position, so that equal pixels give equal features.
    order = np.lexsort((points[:, 1], points[:, 0], -strength))[: parameters.points]
    chosen = histograms[order].astype(np.float32)
    root = np.sqrt(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12))
    descriptors = np.minimum(np.rint(root * parameters.scale), 255).astype(np.uint8)
    return LocalFeatures(np.clip(points[order], 0, 1).astype(np.float32), descriptors)


def _as_sift(corner: cv2.KeyPoint, parameters: DetailParameters) -> cv2.KeyPoint:
    """The corner at the scale of SIFT's own pyramid that has the corner's size.

    There, octave o and layer 1, 2 or 3 hold blobs of diameter 3.2 · 2^(o + layer / 3) pixels.
    """
    size = parameters.diameter * parameters.step**corner.octave
    thirds = max(1, round(3 * math.log2(size / 3.2)))
    octave = (thirds - 1) // 3
    x, y = corner.pt
    return cv2.KeyPoint(x, y, size, corner.angle, corner.response, octave | (thirds - 3 * octave) << 8)


def thumbnail(photo: Photo, parameters: DetailParameters = DETAILS) -> bytes:
    """JPEG of the photo, small, in full colour resolution."""
    small = _fit(photo.pixels, parameters.thumbnail_side)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, parameters.thumbnail_quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return bytes(encoded)


def _fit(pixels: Pixels, side: int) -> Pixels:
    """Scale so that the longer side has `side` pixels: by area downwards, cubic upwards."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, size, interpolation=method).astype(np.uint8, copy=False)
