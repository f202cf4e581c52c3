"""Images and labels: reading them, and making the network's input of them."""

from npalexnet.data.datasets import ArrayDataset, Dataset, Subset
from npalexnet.data.folder import FolderDataset
from npalexnet.data.images import open_picture
from npalexnet.data.loader import DataLoader, LoadError
from npalexnet.data.pipeline import AUGMENTATIONS, Pipeline, evaluation_pipeline, ten_cropped, training_pipeline
from npalexnet.data.resized_crop import RandomResizedCrop
from npalexnet.data.sources import Data, open_data
from npalexnet.data.statistics import Statistics
from npalexnet.data.transforms import (
    CenterCrop,
    Normalize,
    PCAColorJitter,
    RandomCrop,
    RandomHorizontalFlip,
    ResizeCenterCrop,
    SubtractMeanImage,
    TenCrop,
    Transform,
)

__all__ = [
    "AUGMENTATIONS", "ArrayDataset", "CenterCrop", "Data", "DataLoader", "Dataset", "FolderDataset", "LoadError",
    "Normalize", "PCAColorJitter", "Pipeline", "RandomCrop", "RandomHorizontalFlip", "RandomResizedCrop",
    "ResizeCenterCrop", "Statistics", "Subset", "SubtractMeanImage", "TenCrop", "Transform", "evaluation_pipeline",
    "open_data", "open_picture", "ten_cropped", "training_pipeline",
]  # fmt: skip
