"""Writing TFRecord files of tf.train.Example, for measurements and tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from denf.data.multi_objects import ObjectsFile
from denf.data.tfrecord import masked_crc32c


def frame(payload: bytes) -> bytes:
    """A record of a TFRecord file: length and payload, each with its checksum."""
    length = struct.pack("<Q", len(payload))
    crcs = [struct.pack("<I", masked_crc32c(part)) for part in (length, payload)]
    return length + crcs[0] + payload + crcs[1]


def varint(value: int) -> bytes:
    """A protobuf integer: seven bits per byte, the lowest first."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def message(number: int, contents: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(contents)) + contents


def strings(values: NDArray[np.uint8]) -> bytes:
    """A Feature of one-byte strings."""
    triples = np.empty((values.size, 3), np.uint8)
    triples[:] = (10, 1, 0)
    triples[:, 2] = values.ravel()
    return message(1, triples.tobytes())


def floats(values: NDArray[np.float32]) -> bytes:
    """A Feature of packed floats."""
    return message(2, message(1, values.astype("<f4").tobytes()))


def example(features: Mapping[str, bytes]) -> bytes:
    """A serialised Example from the serialised Feature of each name."""
    entries = [
        message(1, message(1, name.encode()) + message(2, feature))
        for name, feature in features.items()
    ]
    return message(1, b"".join(entries))


def scene_record(file: ObjectsFile, objects: int, rng: np.random.Generator) -> bytes:
    """A record of a published file's layout with `objects` squares on a grey gradient.

    Args:
        file: the layout.
        objects: at most `file.layers - file.background`.
        rng: of places, colours, factors, and noise of two grey levels, with which gzip compresses
            the record about as much as a rendered one.
    """
    height, width, layers = file.height, file.width, file.layers
    where = np.zeros((height, width), np.intp)
    if file.background > 1:  # sky above a floor
        where[height // 2 :] = 1
    image = np.linspace(90, 160, height * width).reshape(height, width, 1) * np.ones(file.channels)
    side = height // 8
    for layer in range(file.background, file.background + objects):
        top, left = rng.integers(0, height - side), rng.integers(0, width - side)
        where[top : top + side, left : left + side] = layer
        image[top : top + side, left : left + side] = rng.integers(0, 250, file.channels)
    image += rng.integers(0, 3, image.shape)
    masks = 255 * (where == np.arange(layers)[:, None, None]).astype(np.uint8)
    used = np.arange(layers) < file.background + objects
    features = {
        "image": strings(image.astype(np.uint8)),
        "mask": strings(np.moveaxis(masks, 0, 2) if file.layers_last else masks),
    }
    for name, columns in file.reals.items():
        features[name] = floats(rng.random(layers * len(columns), np.float32))
    for name in file.codes:
        codes = np.where(used & (np.arange(layers) > 0), rng.integers(1, 3, layers), 0)
        features[name] = strings(codes.astype(np.uint8))
    if file.reals:
        features["visibility"] = floats(used.astype(np.float32))
    return frame(example(features))
