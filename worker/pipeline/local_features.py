"""Key points of a photo, and its thumbnail: what the matcher needs to lay two photos over each other."""

from __future__ import annotations

import cv2
import numpy as np

from packsight.shared.parameters import DETAILS, DetailParameters
from packsight.shared.vision.features import NO_LOCAL, LocalFeatures, joined
from packsight.worker.pipeline.decode import Photo, Pixels


def catalog_features(photo: Photo, parameters: DetailParameters = DETAILS) -> LocalFeatures:
    """Key points as a catalog keeps them: those that the photo would be asked about with, and some of other scales."""
    others = [local_features(photo, *scale, parameters) for scale in parameters.further_scales]
    return joined(query_features(photo, parameters), others)


def query_features(photo: Photo, parameters: DetailParameters = DETAILS) -> LocalFeatures:
    """Key points as a photo is asked about."""
    return local_features(photo, *parameters.query_scale, parameters)


def local_features(photo: Photo, side: int, most: int, parameters: DetailParameters = DETAILS) -> LocalFeatures:
    """Find the strongest key points of a grey copy of a photo, `side` pixels long, strongest first.

    Points are SIFT's blobs with their histograms (Lowe, IJCV 2004) as root-SIFT (Arandjelović & Zisserman, "Three things
    everyone should know to improve object retrieval", CVPR 2012): divided by their sum, square root taken; their Euclidean
    distance is the Hellinger distance of the histograms. Stored as uint8, scaled, clipped at 255. A photo without key points
    gives arrays [0, 2] and [0, 128].
    """
    pixels = _fit(photo.pixels, side)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    # Made per call: detectors hold buffers and are not meant for several threads.
    detector = cv2.SIFT.create(nfeatures=most, contrastThreshold=parameters.contrast)
    found, histograms = detector.detectAndCompute(grey, None)
    if not found or histograms is None:
        return NO_LOCAL
    height, width = grey.shape[:2]
    # OpenCV counts from the centre of the first pixel, shares from its corner.
    points = (np.array([point.pt for point in found], np.float32) + 0.5) / np.array([width, height], np.float32)
    strength = np.array([point.response for point in found])
    # Ties are broken by position, so that equal pixels give equal features.
    order = np.lexsort((points[:, 1], points[:, 0], -strength))[:most]
    chosen = histograms[order].astype(np.float32)
    root = np.sqrt(chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1e-12))
    descriptors = np.minimum(np.rint(root * parameters.scale), 255).astype(np.uint8)
    return LocalFeatures(np.clip(points[order], 0, 1).astype(np.float32), descriptors)


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
