"""What a result was measured on: descriptions of data and run, and their agreement in size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denf.data.prepared import Prepared
from denf.errors import DenfError
from denf.harness.checkpoint import tensors_sha256
from denf.harness.method import Method
from denf.run_folder import read_record


def describe_data(data: Prepared) -> Mapping[str, Any]:
    """Description of the data that a result was measured on."""
    known = {k: data.info.get(k) for k in ("name", "split", "count", "size", "source", "licence")}
    return {**known, "sha256": data.sha256}


def describe_run(run: Path, method: Method) -> Mapping[str, Any]:
    """Description of the run that a result was measured on."""
    return {
        "run": str(run),
        "run_weights_sha256": tensors_sha256(method.state_dict()),
        "trained_size": trained_size(run),
    }


def trained_size(run: Path) -> int | None:
    """Side of a run's training images in pixels; None where it is not recorded."""
    return (read_record(run, "run.json").get("data") or {}).get("size")


def check_size(run: Path, data: Prepared | None) -> None:
    """Refuse scenes of another size than those that a run was trained on.

    Raises:
        DenfError: with both sizes.
    """
    size = trained_size(run)
    if data is not None and size is not None and data.size != size:
        raise DenfError(
            f"scenes {data.folder}",
            expected=f"{size}×{size} pixels, as run {run} was trained on",
            got=f"{data.size}×{data.size}",
            fix="Prepare them with that --size, or give --other-size.",
        )
