"""Speed and memory of preparing CLEVR6, compared with only inflating the file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from denf.data.multi_objects_files import CLEVR6
from denf.data.prepared import open_prepared
from denf.data.tfrecord import read_records
from denf.data.write_records import scene_record

_DISTINCT = 8  # synthetic scenes, repeated
# The command, and then the peak memory of its process; resource.getrusage would include memory
# that the process had before it became this program.
_PROGRAM = """
import pathlib, re
from denf.cli import main
try:
    main()
finally:
    status = pathlib.Path("/proc/self/status")
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text() if status.exists() else "")
    print(peak[1] if peak else "")
"""


def bench_clevr6(
    tfrecord: Path | None = None, records: int = 1000, repetitions: int = 2
) -> dict[str, Any]:
    """Time `denf data prepare` as a whole command, and `zcat FILE | wc -c`, alternately.

    Args:
        tfrecord: a file of CLEVR with masks; None: a synthetic file of its layout is written.
        records: of the written file.
        repetitions: the best one counts.

    Returns:
        seconds of both, their ratio, records per second and the peak memory of a process, as plain
        values.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = tfrecord or write_clevr(Path(folder) / "clevr.tfrecords", records)
        count = records if tfrecord is None else sum(1 for _ in read_records(tfrecord))
        specification = Path(folder) / "clevr6.yaml"
        specification.write_text(
            f"{{id: clevr6, source: clevr6, size: 128, path: {json.dumps(str(path))}, "
            f"train: '0:{count}', val: none, test: none}}"
        )
        ours, zcat = [], []
        for k in range(repetitions):
            out = Path(folder) / str(k)
            words = ["data", "prepare", str(specification), "--out", str(out)]
            seconds, peak = _timed([sys.executable, "-c", _PROGRAM, *words])
            ours.append(seconds)
            zcat.append(_timed(["sh", "-c", 'zcat < "$1" | wc -c', "sh", str(path)])[0])
        kept = len(open_prepared(out / "train"))
        return {
            "case": "clevr6",
            "file": "synthetic" if tfrecord is None else str(tfrecord),
            "records": count,
            "kept": kept,
            "file_bytes": path.stat().st_size,
            "seconds": min(ours),
            "records_per_second": count / min(ours),
            "zcat_seconds": min(zcat),
            "speed_up": min(zcat) / min(ours),
            "process_peak_kilobytes": int(peak) if peak else None,
        }


def write_clevr(path: Path, records: int, seed: int = 0) -> Path:
    """Write a file of CLEVR's layout: scenes of 3 to 10 objects, eight distinct ones in rotation.

    Each repetition of the eight scenes is one gzip member, so that each scene is compressed once.
    """
    rng = np.random.default_rng(seed)
    scenes = [scene_record(CLEVR6, 3 + k, rng) for k in range(min(records, _DISTINCT))]
    whole = gzip.compress(b"".join(scenes), 6)
    with path.open("wb") as file:
        for _ in range(records // len(scenes)):
            file.write(whole)
        file.write(gzip.compress(b"".join(scenes[: records % len(scenes)]), 6))
    return path


def _timed(command: Sequence[str]) -> tuple[float, str]:
    """Seconds that a command takes, and what it prints."""
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - began, done.stdout.strip()
