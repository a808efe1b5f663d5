"""Faces with labels, as Lightning data modules.

`databases` has one file per database; `splits` assigns faces to training, validation and test; `alignment` has the landmark
templates and the warp that `sma_models.faces` uses too.
"""

from sma_models.data.csv_faces import CSVFaces
from sma_models.data.data_module import FaceDataModule
from sma_models.data.databases.bp4d import BP4D
from sma_models.data.databases.bp4dplus import BP4DPlus
from sma_models.data.databases.bu3dfe import BU3DFE
from sma_models.data.databases.ckplus import CKPlus
from sma_models.data.databases.disfa import DISFA
from sma_models.data.databases.mmi import MMI
from sma_models.data.face_dataset import FaceDataset
from sma_models.data.face_table import UNKNOWN, FaceTable
from sma_models.data.synthetic import SyntheticFaceData

__all__ = [
    "BP4D",
    "BU3DFE",
    "DISFA",
    "MMI",
    "UNKNOWN",
    "BP4DPlus",
    "CKPlus",
    "CSVFaces",
    "FaceDataModule",
    "FaceDataset",
    "FaceTable",
    "SyntheticFaceData",
]
