"""Faces with labels, as Lightning data modules: one file a database."""

from sma_models.data.base import UNKNOWN, FaceData, FaceDataset, Faces
from sma_models.data.csv_faces import CSVFaces
from sma_models.data.synthetic import SyntheticFaceData

__all__ = ["UNKNOWN", "CSVFaces", "FaceData", "FaceDataset", "Faces", "SyntheticFaceData"]
