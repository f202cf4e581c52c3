"""Slips that take more than one replacement, or several ways of writing the same: a way, the replacements, the hint."""

_PADDED = "    padded = np.zeros((N, C, H + 2 * padding, W + 2 * padding))\n"
_CELL = "[:, :, i : i + stride * (oH - 1) + 1 : stride, j : j + stride * (oW - 1) + 1 : stride]"
_COUNT = [
    (_PADDED, _PADDED + "    count = np.zeros_like(padded)\n"),
    ("+= cells[i, j]", f"+= cells[i, j]\n            count{_CELL} += 1"),
]
AVERAGED = "a sum, not an average"
COL2IM = [
    ("col2im", "strided", [*_COUNT, ("return padded", "padded /= np.maximum(count, 1)\n    return padded")], AVERAGED),
    ("col2im", "strided", [*_COUNT, ("return padded", "padded /= count\n    return padded")], "0 / 0 is NaN"),
    (
        "col2im", "loops",
        [
            ("x = np.zeros(x_shape)", "x, seen = np.zeros(x_shape), np.zeros(x_shape)"),
            ("* kW + j]", "* kW + j]\n            seen[n, c, r, s] += 1"),
            ("return x", "x[seen > 0] /= seen[seen > 0]\n    return x"),
        ],
        AVERAGED,
    ),
    (
        "col2im", "einsum",
        [
            ("return np", "times = np.outer(rows.sum((0, 1)), lines.sum((0, 1)))\n    return np"),
            ("rows, lines)", "rows, lines) / np.maximum(times, 1)"),
        ],
        AVERAGED,
    ),
    ("col2im", "loops", [("return x", "return x / (kH * kW)")], "divided by the size of the windows"),
    ("col2im", "strided", [("padding + H, padding : padding + W", "-padding, padding:-padding")], "-0 is 0"),
    ("col2im", "loops", [("if 0 <= r < H and 0 <= s < W", "if r < H and s < W")], "row -1 and column -1"),
    ("col2im", "loops", [("if 0 <= r < H and 0 <= s < W", "if 0 < r < H and 0 < s < W")], "row 0 and column 0"),
    ("col2im", "loops", [("if 0 <= r < H and 0 <= s < W", "if True")], "neither read nor written"),
]  # fmt: skip

_LINE = '        grad_padded[met] += np.einsum("nopq,oc->ncpq", grad_y, weight[:, :, i, j])\n'
_WINDOW = "grad_padded[n, :, p * stride : p * stride + kH, q * stride : q * stride + kW]"
_OWN_COL2IM = """

def col2im(columns, x_shape, kernel_size, stride, padding):
    N, C, H, W = x_shape
    kH, kW = kernel_size
    x, row = np.zeros((N, C, H + 2 * padding, W + 2 * padding)), 0
    for n in range(N):
        for top in range(0, H + 2 * padding - kH + 1, stride):
            for left in range(0, W + 2 * padding - kW + 1, stride):
                x[n, :, top : top + kH, left : left + kW] = columns[row].reshape(C, kH, kW)
                row += 1
    return x[:, :, padding : padding + H, padding : padding + W]


def conv2d_backward"""
OVERLAP = "where windows overlap"
ASSIGNED = [
    ("conv2d_backward", "strided", [("from col2im", "import numpy as np  #"), ("\n\ndef conv2d_backward", _OWN_COL2IM)], OVERLAP),
    (
        "conv2d_backward", "einsum",
        [
            (_LINE, ""),
            (
                "    for i, j in",
                "    kH, kW = weight.shape[2:]\n"
                "    for n, p, q in np.ndindex(len(x), oH, oW):\n"
                f"        {_WINDOW} = np.tensordot(grad_y[n, :, p, q], weight, 1)\n"
                "    for i, j in",
            ),
        ],
        OVERLAP,
    ),
    (
        "conv2d_backward", "loops",
        [
            ("                grad_x[n, c, r, s] += g * weight[o, c, i, j]\n", ""),
            (
                "    for n, o, p, q in",
                "    for n, p, q, c, i, j in np.ndindex(len(x), *grad_y.shape[2:], *weight.shape[1:]):\n"
                "        r, s = p * stride + i - padding, q * stride + j - padding\n"
                "        if 0 <= r < H and 0 <= s < W:\n"
                "            grad_x[n, c, r, s] = grad_y[n, :, p, q] @ weight[:, c, i, j]\n"
                "    for n, o, p, q in",
            ),
        ],
        OVERLAP,
    ),
    (
        "conv2d_backward", "einsum",
        [
            (_LINE, ""),
            (
                "    for i, j in",
                "    kH, kW = weight.shape[2:]\n"
                "    for n, o, p, q in np.ndindex(grad_y.shape):\n"
                f"        {_WINDOW} = grad_y[n, o, p, q] * weight[o]\n"
                "    for i, j in",
            ),
        ],
        "only the last of the products",
    ),
]  # fmt: skip

BIAS = [
    ("conv2d_backward", "strided", [("G.sum(axis=0)", f"grad_y{sum_}")], hint)
    for sum_, hint in (
        (".sum(axis=(2, 3))", "the sum over images is missing"),
        (".sum(axis=0)", "the sum over windows is missing"),
        ("", "and the sum is missing"),
        (".sum(axis=(0, 2))", "over the columns of windows is missing"),
        (".sum(axis=(0, 3))", "over the rows of windows is missing"),
        (".sum(axis=(1, 2, 3))", "not over the output channels"),
        (".sum()", "not one number"),
        (".sum(axis=(0, 2, 3), keepdims=True)", "an axis too many"),
    )
] + [
    ("conv2d_backward", "strided", [("G.sum(axis=0)", "G")], "the sum over the rows of G is missing"),
    ("conv2d_backward", "strided", [("G.sum(axis=0)", "G.sum(axis=1)")], "sum G over its rows, axis 0"),
    ("linear", "strided", [("grad_y.sum(axis=0)", "grad_y.sum()")], "not one number"),
    ("linear", "strided", [("grad_y.sum(axis=0)", "grad_y.sum(axis=0, keepdims=True)")], "an axis too many"),
]

_COUNTS = "    oH = (H - kernel_size) // stride + 1\n    oW = (W - kernel_size) // stride + 1\n    y ="
_MAXIMUM = (
    "        largest = -np.inf\n"
    "        for i in range(kernel_size):\n"
    "            for j in range(kernel_size):\n"
    "                largest = max(largest, x[n, c, p * stride + i, q * stride + j])\n"
)
_SLICE = (
    _MAXIMUM,
    "        rows, columns = slice(p * stride, p * stride + kernel_size), slice(q * stride, q * stride + kernel_size)\n"
    "        largest = x[n, c, rows, columns].max()\n",
)
_UP = "    oH, oW = -(-(H - kernel_size) // stride) + 1, -(-(W - kernel_size) // stride) + 1\n    y ="
_MORE = "((0, 0), (0, 0), (0, -(H - kernel_size) % stride), (0, -(W - kernel_size) % stride))"
_DEF = "def windows_of(x, kernel_size, stride):\n"
HANGING = [
    ("max_pool2d", "loops", [_SLICE, (_COUNTS, _UP)], "the size is rounded down"),
    ("max_pool2d", "strided", [(_DEF, f"{_DEF}    H, W = x.shape[2:]\n    x = np.pad(x, {_MORE}, constant_values=-np.inf)\n")], "the size is rounded down"),
    ("max_pool2d", "strided", [(_DEF, f"{_DEF}    H, W = x.shape[2:]\n    x = np.pad(x, {_MORE})\n")], "with zeros beyond the border"),
    ("max_pool2d", "loops", [(_COUNTS, _UP)], "a window hangs over the border"),
    ("max_pool2d", "loops", [_SLICE, (_COUNTS, "    oH, oW = -(-H // stride), -(-W // stride)\n    y =")], "begins kernel_size before the end"),
    ("max_pool2d", "loops", [_SLICE, (_COUNTS, "    oH, oW = H // stride, W // stride\n    y =")], "not H // stride"),
    ("max_pool2d", "loops", [(_SLICE[0], _SLICE[1].replace("n, c", ":, :"))], "over all images and channels, too"),
    ("max_pool2d", "loops", [("largest = -np.inf", "largest = -1")], "begins at -1"),
    ("max_pool2d", "loops", [("top + i, left + j] +=", "i, j] +=")], "the window's place is forgotten"),
]  # fmt: skip

_LOSS = (
    "    largest = logits.max(axis=1)\n"
    "    sums = np.log(np.exp(logits - largest[:, None]).sum(axis=1)) + largest\n"
    "    return np.mean(sums - np.take_along_axis(logits, labels[:, None], axis=1)[:, 0])\n"
)
_PROBABILITIES = "    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)\n"
_OF_LABELS = "np.log(p[np.arange(len(labels)), labels])"
_NO_MAXIMUM = ("logits - logits.max(axis=1, keepdims=True)", "1 * logits")
_STRIDED = ("np.exp(logits - logits.max(axis=1, keepdims=True))", "np.exp(logits)")
BOTH, CLASSES = "not subtracted, and the mean is forgotten", "not subtracted, and the mean is over the classes"
LOSS = [
    ("cross_entropy", "einsum", [_NO_MAXIMUM, ("log_softmax(logits)) / len(labels)\n", "log_softmax(logits))\n")], BOTH),
    ("cross_entropy", "strided", [(_LOSS, f"{_PROBABILITIES}    return -{_OF_LABELS}.sum()\n")], BOTH),
    ("cross_entropy", "strided", [_STRIDED, ("return p / len(labels)", "return p")], BOTH),
    ("cross_entropy", "einsum", [_NO_MAXIMUM, ("(logits)) / len(labels)\n", "(logits)) / logits.size\n")], CLASSES),
    ("cross_entropy", "strided", [_STRIDED, ("return p / len(labels)", "return p / p.size")], CLASSES),
    ("cross_entropy", "strided", [("np.mean(sums", "(sums")], "the mean over the N images, one number"),
    ("cross_entropy", "strided", [("p.sum(axis=1, keepdims=True)", "p.sum(axis=1)")], "keepdims=True"),
    ("cross_entropy", "einsum", [("logits.max(axis=1, keepdims=True)", "logits.max()")], "largest logit of all images"),
    ("cross_entropy", "einsum", [("logits.max(axis=1, keepdims=True)", "logits.max(axis=0)")], "largest logit of each class"),
    ("cross_entropy", "strided", [("p.sum(axis=1, keepdims=True)", "p.sum()")], "divides by the sum over all images"),
    ("cross_entropy", "strided", [("p[np.arange(len(labels)), labels]", "p[:, labels]")], "[:, labels] takes the labels"),
    ("cross_entropy", "strided", [("p[np.arange(len(labels)), labels]", "p[labels, np.arange(len(labels))]")], "labels number the K columns"),
    ("cross_entropy", "einsum", [("- np.eye(logits.shape[1])", "- np.eye(len(labels))")], "np.eye(K)[labels]"),
    ("cross_entropy", "einsum", [("one_hot, log_softmax(logits))", "one_hot, np.log(np.exp(log_softmax(logits)) + 1e-12))")], "1e-12 is added to p"),
    ("cross_entropy", "einsum", [("one_hot, log_softmax(logits))", "one_hot, np.log(np.clip(np.exp(log_softmax(logits)), 1e-7, 1)))")], "p is cut off at 1e-07"),
]  # fmt: skip

_IF = "if 0 <= r < H and 0 <= s < W"
_SUM = '    return np.einsum("npqcij,pir,qjs->ncrs", cells, rows, lines)\n'
_VIEW = (
    "    x = np.zeros((N, C, H + 2 * padding, W + 2 * padding))\n"
    "    view = np.lib.stride_tricks.sliding_window_view(x, (kH, kW), axis=(2, 3), writeable=True)\n"
    "    view[:, :, ::stride, ::stride] += cells.transpose(0, 3, 1, 2, 4, 5)\n"
    "    return x[:, :, padding : padding + H, padding : padding + W]\n"
)
_WEIGHT = "(G.T @ im2col(x, (kH, kW), stride, padding)).reshape(weight.shape)"
_TRANSPOSED = "(im2col(x, (kH, kW), stride, padding).T @ G).reshape(weight.shape)"
_EACH = '        grad_weight[:, :, i, j] = np.einsum("nopq,ncpq->oc", grad_y, padded[met])\n'
_LAST_WINDOW = """
    kH, kW = weight.shape[2:]
    for n, o, p, q in np.ndindex(grad_y.shape):
        window = padded[n, :, p * stride : p * stride + kH, q * stride : q * stride + kW]
        grad_weight[o] = grad_y[n, o, p, q] * window
    H, W ="""
OTHERS = [
    ("conv2d", "loops", [(_IF, "if r < H and s < W")], "row -1 and column -1"),
    ("conv2d", "loops", [(_IF, "if 0 < r < H and 0 < s < W")], "row 0 and column 0"),
    ("conv2d", "loops", [(_IF, "if 0 <= r and 0 <= s")], "neither read nor written"),
    ("conv2d", "loops", [("s = q * stride", "s = q")], "stride is missing in the columns"),
    ("conv2d", "loops", [("(H + 2 * padding", "(H + padding"), ("(W + 2 * padding", "(W + padding")], "counts twice"),
    ("conv2d", "einsum", [("((0, 0), (0, 0), (padding, padding), (padding, padding))", "padding")], "np.pad(x, padding)"),
    ("im2col", "loops", [(_IF, "if r < H and s < W")], "row -1 and column -1"),
    ("im2col", "loops", [(_IF, "if 0 < r < H and 0 < s < W")], "row 0 and column 0"),
    ("im2col", "loops", [(_IF, "if 0 <= r and 0 <= s")], "neither read nor written"),
    ("im2col", "loops", [(_IF, "if True")], "row -1 and column -1"),
    ("im2col", "strided", [(".transpose(0, 2, 3, 1, 4, 5)", "")], "reshaped without a transpose"),
    ("im2col", "einsum", [("->npqcij", "->ncijpq")], "reshaped without a transpose: numbers (N, C, kH, kW, oH, oW)"),
    ("col2im", "strided", [("(N, oH, oW, C, kH, kW).transpose(4, 5, 0, 3, 1, 2)", "(N, C, kH, kW, oH, oW).transpose(2, 3, 0, 1, 4, 5)")], "and only then a transpose"),
    ("col2im", "einsum", [(_SUM, _VIEW)], "through a view whose windows share"),
    ("conv2d_backward", "loops", [(_IF, "if r < H and s < W")], "row -1 and column -1"),
    ("conv2d_backward", "loops", [(_IF, "if 0 < r < H and 0 < s < W")], "row 0 and column 0"),
    ("conv2d_backward", "loops", [("p * stride + i - padding, q * stride", "p + i - padding, q")], "windows move by 1"),
    ("conv2d_backward", "strided", [(").reshape(weight.shape)", ")")], "reshape it like weight"),
    ("conv2d_backward", "strided", [(_WEIGHT, _TRANSPOSED)], "gradient of the weights is G.T @ columns"),
    ("conv2d_backward", "strided", [(_WEIGHT, _TRANSPOSED.replace(".reshape(weight.shape)", ""))], "its transpose, reshaped"),
    ("conv2d_backward", "strided", [("G @ weight.reshape", "G @ weight.transpose(0, 2, 3, 1).reshape")], "both are (C, kH, kW)"),
    ("conv2d_backward", "strided", [(_WEIGHT, _TRANSPOSED.replace("weight.shape)", "kH, kW, -1, O).transpose(3, 2, 0, 1)"))], "both are (C, kH, kW)"),
    ("conv2d_backward", "einsum", [(_EACH, ""), ("\n    H, W =", _LAST_WINDOW)], "only the last window's part"),
    ("conv2d_backward", "loops", [("return grad_x, grad_weight, grad_bias", "return grad_weight, grad_x, grad_bias")], "that is grad_weight: the order is grad_x, grad_weight, grad_bias"),
    ("linear", "loops", [("return grad_x, grad_weight, grad_bias", "return grad_x, grad_bias, grad_weight")], "that is grad_bias: the order is"),
    ("conv2d_backward", "einsum", [("padding + H, padding : padding + W", "-padding, padding:-padding")], "-0 is 0"),
    ("conv2d_backward", "strided", [("grad_y.transpose(0, 2, 3, 1).reshape", "grad_y.reshape")], "without its transpose"),
    ("conv2d_backward", "strided", [("grad_y.transpose(0, 2, 3, 1).reshape(-1, O)", "grad_y.reshape(O, -1).T")], "not reshape(O, -1).T"),
    ("dropout", "strided", [("np.where(dropped, 0, grad_y * scale)", "grad_y * scale * (np.random.default_rng().random(grad_y.shape) > p)")], "another mask"),
    ("dropout", "loops", [("return grad_y * mask", "return grad_y * mask / (1 - p)")], "scaled twice"),
    ("sgd", "einsum", [("+ gradient", "- lr * gradient"), ("weight - lr * velocity", "weight + velocity")], "and a minus are in the velocity"),
    ("sgd", "einsum", [("weight - lr * velocity, velocity", "velocity, weight - lr * velocity")], "other way round"),
    ("alexnet", "loops", [("p, training, rng)\n    h1", "p, True, rng)\n    h1")], "numbers are dropped in evaluation"),
    ("alexnet", "loops", [("relu_backward(grad, c4), a3,", "relu_backward(grad, c4), c3,")], "look at the x that its weight is given"),
]  # fmt: skip
SLIPS = [*COL2IM, *ASSIGNED, *BIAS, *HANGING, *LOSS, *OTHERS]
