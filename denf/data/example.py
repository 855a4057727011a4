"""tf.train.Example without a protobuf library: its features as NumPy views of the payload.

Multi-Object Datasets stores an image as a list of one-byte strings, one per value. A protobuf
parser makes a Python object of each (some 3 million per scene); here they are a view with a stride
of three bytes (tag, length, value), and features that are not asked for are skipped. The messages
are Example{1: Features{1: map<string, Feature>}}, Feature{1: BytesList | 2: FloatList}, and each
list is {1: repeated value}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from denf.data.tfrecord import Record
from denf.errors import DenfError

Feature = NDArray[np.uint8] | NDArray[np.float32]
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf wire types
_BYTES_LIST, _FLOAT_LIST = 1, 2  # fields of Feature; 3, Int64List, is not read
# Eight strings of one byte fill three words of 64 bits: the tags and lengths, and a mask of them.
_STRING = bytes([1 << 3 | _BYTES, 1, 0])
_FRAMES = np.frombuffer(8 * _STRING, "<u8")
_FRAME_BITS = np.frombuffer(8 * bytes([255, 255, 0]), "<u8")


def parse_example(record: Record, names: Collection[str] | None = None) -> Mapping[str, Feature]:
    """Read the features of a record; images and masks are views without copies.

    Args:
        record: a record whose payload is a serialised tf.train.Example.
        names: features to read; None: all.

    Returns:
        one flat array per feature: uint8 for byte strings (their contents in order, whether one
        byte per string or more), float32 for floats. Integer features are left out.

    Raises:
        DenfError: when the payload is not a tf.train.Example; names the record.
    """
    features: dict[str, Feature] = {}
    try:
        for entries in _values(record.payload, 1):
            for entry in _values(entries, 1):
                name = b"".join(_values(entry, 1)).decode()
                for feature in _values(entry, 2) if names is None or name in names else ():
                    for kind, _, values in _fields(feature):
                        if kind == _BYTES_LIST:
                            features[name] = _byte_values(values)
                        elif kind == _FLOAT_LIST:
                            features[name] = _float_values(values)
    except (IndexError, ValueError) as error:
        raise DenfError(
            record.name,
            expected="a serialised tf.train.Example",
            got=error,
            fix="Check that this is one of the Multi-Object Datasets' files.",
        ) from error
    return features


def _byte_values(data: memoryview) -> NDArray[np.uint8]:
    flat = np.frombuffer(data, np.uint8)
    if flat.size % 3 == 0:
        words = flat[: flat.size // 24 * 24].view("<u8")
        rest = flat[words.nbytes :].reshape(-1, 3)
        framed = (((words[k::3] & _FRAME_BITS[k]) == _FRAMES[k]).all() for k in range(3))
        if all(framed) and (rest[:, :2] == tuple(_STRING[:2])).all():
            return flat[2::3]
    strings = list(_values(data, 1))
    return np.frombuffer(strings[0] if len(strings) == 1 else b"".join(strings), np.uint8)


def _float_values(data: memoryview) -> NDArray[np.float32]:
    parts = [values for number, wire, values in _fields(data) if number == 1]
    return np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), "<f4")


def _values(message: memoryview, field: int) -> Iterator[memoryview]:
    return (value for number, wire, value in _fields(message) if (number, wire) == (field, _BYTES))


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and contents of each field of a message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire = tag & 7
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire == _VARINT:
            size = _varint(message, position)[1] - position
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if position + size > len(message):
            raise ValueError(f"a field of {size} bytes at byte {position} of {len(message)}")
        yield tag >> 3, wire, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError(f"an integer longer than 10 bytes at byte {position}")
