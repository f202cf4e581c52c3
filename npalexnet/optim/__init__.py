"""What makes a step of the gradients: SGD, clipping their norm, scaling the loss for float16."""

from npalexnet.optim.clipping import clip_grad_norm_
from npalexnet.optim.grad_scaler import GradScaler
from npalexnet.optim.groups import weights_and_biases
from npalexnet.optim.sgd import SGD

__all__ = ["SGD", "GradScaler", "clip_grad_norm_", "weights_and_biases"]
