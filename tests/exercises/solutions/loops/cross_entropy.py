from math import exp, log

import numpy as np


def softmax(row):
    largest = max(row)
    exponentials = [exp(logit - largest) for logit in row]
    return [value / sum(exponentials) for value in exponentials]


def cross_entropy(logits, labels):
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        largest = max(row)
        total += log(sum(exp(logit - largest) for logit in row)) + largest - row[label]
    return total / len(labels)


def cross_entropy_backward(logits, labels):
    grad = np.zeros(logits.shape)
    for n, label in enumerate(labels):
        grad[n] = softmax(logits[n])
        grad[n, label] -= 1
    return grad / len(labels)
