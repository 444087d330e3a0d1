"""Gradient descent: the loop, its batches, mixing, checkpoints and caches, and fine-tuning of encoders."""
