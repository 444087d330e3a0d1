"""Runs: fit, measure, and the folder that keeps what came out."""

from .result import Budget, MethodResult, Result
from .run import Run

__all__ = ["Budget", "MethodResult", "Result", "Run"]
