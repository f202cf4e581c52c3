// What is said of the layers.

const FORMULAS = {
  image: [
    "What the network sees: each colour with its mean subtracted, and scaled.",
    "How the loss changes with each number of the picture.",
  ],
  convolution: [
    "output = bias + the sum, over the input channels, of window × kernel. im2col writes each window as a " +
      "row of a matrix; then this is a matrix product.",
    "g × kernel is added to the input's gradient where the window was (col2im), g × window to the kernel's " +
      "gradient, g to the bias's.",
  ],
  relu: ["output = max(0, input).", "The gradient passes where the input is above 0; elsewhere it is 0."],
  normalization: [
    "output = input / d^β, where d grows with the squares of the neighbours.",
    "Directly, g / d^β; and through each divisor d that the number is part of.",
  ],
  "max pooling": [
    "output = the largest number of the window.",
    "A window's gradient goes to its largest number; where windows overlap, gradients add up.",
  ],
  "average pooling": [
    "output = the average of a part of the map.",
    "Each number of a part gets an equal share of the part's gradient.",
  ],
  flatten: [
    "Channel by channel, row by row, the numbers become a vector.",
    "The gradients of the vector go back to their places.",
  ],
  dropout: ["In evaluation: output = input.", "In evaluation: the gradient passes as it is."],
  linear: [
    "output = bias + the sum, over the inputs, of input × weight.",
    "g × weight goes to each input, g × input is the weight's gradient, g the bias's.",
  ],
  softmax: [
    "p = exp(z) / the sum of all exp(z); the highest logit is subtracted first, so that no exponential overflows.",
    "The gradient of the loss with respect to a logit is p − t, where t is 1 for the class of the loss, else 0.",
  ],
};

function describe(step) {
  const parts = [];
  if (step.input !== step.output) parts.push(`${shapeText(data.edges[step.input].shape)} → ${shapeText(step.shape)}`);
  if (step.kernel) {
    parts.push(`windows of ${step.kernel.join(" × ")}`, `stride ${step.stride[0]}`);
    if (step.padding.some(Boolean)) parts.push(`padding ${step.padding[0]}`);
    if (step.groups > 1) parts.push(`${step.groups} groups`);
  }
  if (step.multiply_adds) parts.push(`${counted(step.multiply_adds)} multiply-adds`);
  if (step.parameters) parts.push(`${counted(step.parameters)} parameters`);
  return parts.join("; ");
}
