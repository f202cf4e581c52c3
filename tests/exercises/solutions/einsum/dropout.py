def dropout(x, p, training, rng):
    if not training:
        return x.copy(), None
    kept = rng.binomial(1, 1 - p, x.shape)
    return x * kept / (1 - p), kept


def dropout_backward(grad_y, kept, p):
    return grad_y if kept is None else grad_y * kept / (1 - p)
