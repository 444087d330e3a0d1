"""The sections of a report, in the order of the page. A new one is one file and one line here."""

from __future__ import annotations

from ..page import Section
from . import architecture, gallery, reading, robustness, run, scores, space, training

SECTIONS: tuple[Section, ...] = (
    Section("run", "What was run", run.build),
    Section("scores", "Scores", scores.build),
    Section("robustness", "Robustness", robustness.build),
    Section("training", "Training", training.build),
    Section("space", "Map of the shared space", space.build),
    Section("gallery", "Queries and their results", gallery.build),
    Section("architecture", "Figure 1: the architecture of this run", architecture.build),
    Section("reading", "How to read this", reading.build),
)
