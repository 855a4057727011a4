"""TFRecord reading: checksums against a bitwise loop, damage located, features against a loop."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from denf.data.example import parse_example
from denf.data.tfrecord import Record, masked_crc32c, read_records
from denf.data.write_records import example, frame
from denf.data.write_records import message as field
from denf.errors import DenfError

SAMPLE = Path(__file__).parents[3] / "shared/data/clevr_with_masks_sample.tfrecords"
needs_sample = pytest.mark.skipif(not SAMPLE.exists(), reason="the sample file is not here")


def bitwise_crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def record(payload: bytes) -> Record:
    return Record(0, 0, memoryview(payload), Path("file"))


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


# RFC 3720, appendix B.4
@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_are_those_of_the_standard(data, crc):
    assert bitwise_crc32c(data) == crc
    assert masked_crc32c(data) == masked(crc)


@given(st.binary(max_size=3000))
@settings(max_examples=30, deadline=None)
def test_checksums_equal_the_bitwise_loop(data):
    assert masked_crc32c(memoryview(data)) == masked(bitwise_crc32c(data))


def test_members_of_gzip_one_after_another_are_one_stream(tmp_path):
    payloads = [b"one", b"two", b"three"]
    data = b"".join(map(frame, payloads))
    path = tmp_path / "f.tfrecords"
    path.write_bytes(gzip.compress(data[:25]) + gzip.compress(data[25:]))
    assert [bytes(r.payload) for r in read_records(path)] == payloads
    path.write_bytes(gzip.compress(data) + b"something else")
    with pytest.raises(DenfError, match=r"record 3 at byte 59 .*a whole gzip stream"):
        list(read_records(path))


@pytest.mark.parametrize("zipped", [True, False])
def test_records_come_back_in_order_with_their_offsets(tmp_path, zipped):
    payloads = [b"one", b"", np.random.default_rng(0).bytes(5000)]
    data = b"".join(map(frame, payloads))
    path = tmp_path / "f.tfrecords"
    path.write_bytes(gzip.compress(data) if zipped else data)
    records = list(read_records(path))
    assert [bytes(r.payload) for r in records] == payloads
    assert [(r.index, r.offset) for r in records] == [(0, 0), (1, 19), (2, 35)]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:-3], "record 2 at byte 40 .*short read"),
        (lambda d: d[:45], "record 2 at byte 40 .*expected 12 more bytes, got 5"),
        (lambda d: d[:34] + b"?" + d[35:], "record 1 at byte 20 .*payload: expected checksum"),
        (lambda d: d[:20] + b"?" + d[21:], "record 1 at byte 20 .*length: expected checksum"),
    ],
)
def test_damage_is_located_by_record_and_offset(tmp_path, zipped, damage, message):
    data = damage(b"".join(map(frame, [b"zero", b"one!", b"two?"])))
    path = tmp_path / "f.tfrecords"
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(DenfError, match=message):
        list(read_records(path))


def test_cut_or_damaged_gzip_is_located(tmp_path):
    rng = np.random.default_rng(0)
    whole = gzip.compress(b"".join(frame(rng.bytes(50_000)) for _ in range(4)))
    path = tmp_path / "f.tfrecords"
    path.write_bytes(whole[:130_000])
    records = read_records(path)
    assert [next(records).index, next(records).index] == [0, 1]
    with pytest.raises(DenfError, match="record 2 at byte 100032 "):
        next(records)
    path.write_bytes(whole[:130_000] + b"\xff" * 2000 + whole[132_000:])
    with pytest.raises(DenfError, match="record 2 at byte 100032 "):
        list(read_records(path))


def test_a_length_beyond_reason_is_refused_before_memory_is_taken(tmp_path):
    length = struct.pack("<Q", 1 << 40)
    path = tmp_path / "f.tfrecords"
    path.write_bytes(length + struct.pack("<I", masked_crc32c(length)))
    with pytest.raises(DenfError, match=r"record 0 at byte 0 .*at most"):
        list(read_records(path))


def test_missing_file_is_a_user_error(tmp_path):
    with pytest.raises(DenfError, match=r"none\.tfrecords"):
        list(read_records(tmp_path / "none.tfrecords"))


@given(st.binary(min_size=1, max_size=300))
@settings(max_examples=40, deadline=None)
def test_byte_features_are_the_same_however_they_are_cut_into_strings(values):
    single = b"".join(field(1, bytes([v])) for v in values)
    pairs = b"".join(field(1, values[i : i + 2]) for i in range(0, len(values), 2))
    payload = example(
        {"single": field(1, single), "whole": field(1, field(1, values)), "pairs": field(1, pairs)}
    )
    features = parse_example(record(payload))
    for name in ("single", "whole", "pairs"):
        assert features[name].tobytes() == values
    for name in ("single", "whole"):
        assert np.shares_memory(features[name], np.frombuffer(payload, np.uint8))


@given(st.integers(1, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_strings_of_another_length_among_single_bytes_are_seen(count, data):
    """The framing is compared eight strings at a time: a difference anywhere must count."""
    values = [bytes([k % 256]) for k in range(count)]
    odd = data.draw(st.integers(0, count - 1))
    values[odd] = data.draw(st.sampled_from([b"", b"ab", b"abcd", b"\x0a\x01a\x0a\x01"]))
    payload = example({"image": field(1, b"".join(field(1, v) for v in values))})
    assert parse_example(record(payload))["image"].tobytes() == b"".join(values)


def test_features_not_asked_for_are_left_out():
    payload = example({"a": field(1, field(1, b"x")), "b": field(1, field(1, b"y"))})
    assert list(parse_example(record(payload), {"b", "c"})) == ["b"]


def test_one_byte_strings_are_a_strided_view():
    values = bytes(range(200, 250))
    feature = field(1, b"".join(field(1, bytes([v])) for v in values))
    flat = parse_example(record(example({"image": feature})))["image"]
    assert flat.strides == (3,)
    assert flat.tobytes() == values


def test_float_features_packed_or_not():
    values = np.array([0.5, -1.25, 3e8], "<f4")
    plain = b"".join(b"\x0d" + v.tobytes() for v in values)
    payload = example({"packed": field(2, field(1, values.tobytes())), "plain": field(2, plain)})
    features = parse_example(record(payload))
    for name in ("packed", "plain"):
        assert features[name].dtype == np.float32
        np.testing.assert_array_equal(features[name], values)


@pytest.mark.parametrize("payload", [b"\x0a\x7f", b"\xff" * 11, b"\x0b", b"\x0a"])
def test_a_payload_that_is_no_example_is_refused(payload):
    with pytest.raises(DenfError, match=r"record 0 at byte 0 .*tf\.train\.Example"):
        parse_example(record(payload))


@needs_sample
def test_sample_has_the_published_layout():
    records = list(read_records(SAMPLE))
    assert [r.index for r in records] == list(range(32))
    features = parse_example(records[0])
    assert {k: (v.dtype.name, v.size) for k, v in features.items()} == {
        "image": ("uint8", 240 * 320 * 3),
        "mask": ("uint8", 11 * 240 * 320),
        **dict.fromkeys(("x", "y", "z", "rotation", "visibility"), ("float32", 11)),
        "pixel_coords": ("float32", 33),
        **dict.fromkeys(("size", "material", "shape", "color"), ("uint8", 11)),
    }
    masks = features["mask"].reshape(11, 240 * 320)
    assert set(np.unique(masks)) == {0, 255}
    np.testing.assert_array_equal((masks > 0).sum(0), 1)  # the layers partition the frame


@needs_sample
def test_reading_keeps_a_few_records_in_memory():
    code = (
        "import resource, sys; from denf.data.tfrecord import read_records\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak(); total = sum(len(r.payload) for r in read_records(sys.argv[1]))\n"
        "print(total, peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SAMPLE)], check=True, capture_output=True, text=True
    )
    total, kib = map(int, done.stdout.split())
    assert total > 100e6
    assert kib * 1024 < total / 3
