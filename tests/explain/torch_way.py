"""One picture's way through a network as torch computes it, in float64."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.networks import WIDTH
from tests.support import tensor
from tests.torch_variants import Overhang, torch_variant


class TorchWay:
    """Every layer's input and output, with their gradients.

    `calls` has (module, input, output) of each layer in the order of the forward pass, without dropout, with the batch
    of one image; their `.grad` are the loss's gradients, as those of the modules' parameters are.
    """

    def __init__(self, model, image, label):
        twin = torch_variant(model.variant, model.classifier[-1].out_features, hidden=WIDTH).double()
        with torch.no_grad():
            for (_, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
                theirs.copy_(tensor(ours.data))
        self.calls = []
        for module in twin.modules():
            if not isinstance(module, nn.Sequential | Overhang):
                module.register_forward_hook(self._keep)
        self.x = tensor(image).double()[None].requires_grad_()
        self.logits = twin(self.x)
        self.loss = F.cross_entropy(self.logits, torch.tensor([label]))
        self.loss.backward()

    def _keep(self, module, inputs, y):
        if inputs[0].requires_grad:
            inputs[0].retain_grad()
        y.retain_grad()
        self.calls.append((module, inputs[0], y))
