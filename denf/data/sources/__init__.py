"""Data sets as specifications: one file per kind of source, and the union of all of them.

A new source is a file here, with a class that derives from `Source` or `SplitSource`, and its entry
in `Dataset`; protocols, `denf data prepare`, the workflow's rules and the tables of
config/README.md then include it. Everything here is free of torch and NumPy, so that a protocol is
checked in milliseconds; code that reads and writes images is imported when data are prepared.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from denf.data.sources.clevrtex import Clevrtex
from denf.data.sources.multi_objects import Clevr6, Clevr10, MultiDSprites, ObjectsRoom, Tetrominoes
from denf.data.sources.own_pictures import OwnPictures
from denf.data.sources.real_traffic import RealTraffic
from denf.data.sources.rendered import Rendered

Dataset = Annotated[
    Rendered
    | OwnPictures
    | Clevr6
    | Clevr10
    | MultiDSprites
    | Tetrominoes
    | ObjectsRoom
    | Clevrtex
    | RealTraffic,
    Field(discriminator="source"),
]
