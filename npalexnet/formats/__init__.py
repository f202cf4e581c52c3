"""Weights in other formats: files of torch, NumPy, ONNX and safetensors."""
