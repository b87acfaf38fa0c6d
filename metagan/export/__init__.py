"""Exports generators for other programs: the browser's kernel, and ONNX."""
