"""What a page says about a network, its training and its results; without the paths of the machine it was made on."""

from __future__ import annotations

from npalexnet.data.pictures import data_name
from npalexnet.inference.classifier import Classifier
from npalexnet.inference.validation import ValidationSet
from npalexnet.training.metrics import Metrics
from npalexnet.weights import FILE_NAME

SETTINGS = (
    "recipe", "augment", "pixels", "epochs", "batch_size", "lr", "schedule", "warmup", "momentum", "weight_decay",
    "bias_lr_factor", "bias_decay_factor", "dropout", "init", "precision", "seed",
)  # fmt: skip


def network_name(classifier: Classifier) -> str:
    """Return the name of a run's folder, or of a file of weights; a folder that is called 1 is "run 1"."""
    path = classifier.path
    name = data_name(str(path.parent)) if path.name == FILE_NAME else path.name
    return f"run {name}" if name.isdigit() else name


def network_facts(classifier: Classifier) -> list[tuple[str, str]]:
    """Return what the weights file says about the training."""
    options = classifier.metadata.get("options")
    options = options if isinstance(options, dict) else {}
    facts = [("weights", classifier.path.name), ("classes", f"{len(classifier.classes)}")]
    if "steps" in classifier.metadata:
        facts.append(("training steps", f"{classifier.metadata['steps']}"))
    settings = [f"{name.replace('_', ' ')} {options[name]}" for name in SETTINGS if name in options]
    return facts + ([("settings", ", ".join(settings))] if settings else [])


def validation_facts(validation: ValidationSet, total: int, metrics: Metrics) -> list[tuple[str, str]]:
    """Return what was measured on the validation images; `total` is how many there are in the data."""
    sample = f", {len(validation):,} of them chosen at random for this page" if len(validation) < total else ""
    return [
        ("validation data", f"{validation.name}: {total:,} images{sample}"),
        ("loss", f"{metrics.loss:.3f}"),
        ("top-1 accuracy", f"{100 * metrics.top1:.1f} %"),
        ("top-5 accuracy", f"{100 * metrics.top5:.1f} %"),
    ]
