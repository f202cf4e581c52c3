import numpy as np


def log_softmax(logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def cross_entropy(logits, labels):
    one_hot = np.eye(logits.shape[1])[labels]
    return -np.einsum("nk,nk->", one_hot, log_softmax(logits)) / len(labels)


def cross_entropy_backward(logits, labels):
    return (np.exp(log_softmax(logits)) - np.eye(logits.shape[1])[labels]) / len(labels)
