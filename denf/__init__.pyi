from denf.errors import DenfError as DenfError
from denf.pictures.result import PictureDecomposition as PictureDecomposition
from denf.pictures.run import TrainedRun as TrainedRun
from denf.pictures.run import load as load

__version__: str
