from col2im import col2im
from im2col import im2col


def conv2d_backward(grad_y, x, weight, stride, padding):
    O, _, kH, kW = weight.shape
    G = grad_y.transpose(0, 2, 3, 1).reshape(-1, O)
    grad_weight = (G.T @ im2col(x, (kH, kW), stride, padding)).reshape(weight.shape)
    grad_x = col2im(G @ weight.reshape(O, -1), x.shape, (kH, kW), stride, padding)
    return grad_x, grad_weight, G.sum(axis=0)
