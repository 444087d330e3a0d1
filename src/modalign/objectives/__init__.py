"""Objectives: batch -> scalar loss. One file per family; each is a thin module around functions of `geometry`."""

from .base import Objective, nothing
from .bridge import Bridge, Consistency, Separation
from .caption import Caption
from .classify import Classify
from .collapse import pull
from .jiang import Jiang
from .neighbourhood import Rma, Structure
from .retrieval import Clip, CyClip, SigLip, Symile
from .spread import Uniformity, VicReg
from .teacher import Teacher
from .total import Total, build
from .transport import Klot, Transport
from .volume import Gram, Pmrl, Triangle
from .weighting import Balance, Schedule, Uncertainty, Weighting

__all__ = [
    "Balance",
    "Bridge",
    "Caption",
    "Classify",
    "Clip",
    "Consistency",
    "CyClip",
    "Gram",
    "Jiang",
    "Klot",
    "Objective",
    "Pmrl",
    "Rma",
    "Schedule",
    "Separation",
    "SigLip",
    "Structure",
    "Symile",
    "Teacher",
    "Total",
    "Transport",
    "Triangle",
    "Uncertainty",
    "Uniformity",
    "VicReg",
    "Weighting",
    "build",
    "nothing",
    "pull",
]
