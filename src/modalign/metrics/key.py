"""The names of scores: one way to write them and one to take them apart.

    measure[/subject][/form[@k]]

    recall/text->image/any@5                      queries of text against a gallery of images
    procrustes/image~text/size_and_shape          a pair of modalities without direction, in alphabetical order
    uniformity/image                              one modality
    connectivity/*/cross_edges                    all modalities together, where a form follows
    mean_recall                                   the whole run

Names of modalities may hold any character: those that mean something here (``%``, ``/``, ``~``, ``>``, ``@``, ``*``)
stand as ``%`` and their two hexadecimal digits, and so do ``%``, ``/`` and ``@`` in a form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

from ..errors import ModalignError

TOWARD, BETWEEN, ALL = "->", "~", "*"


@dataclass(frozen=True)
class Key:
    """What a score is of.

    Args:
        measure: name of the measure, a word without "/".
        source, target: modalities: of queries and of the gallery, or of a pair without direction; one modality has no
            target, a measure of all modalities has neither.
        form: which form of the measure, such as "any" or "median"; empty: the plain one.
        k: depth or number of neighbours; "R": each query's number of positives.
        mutual: source and target have no direction; they then stand in alphabetical order.

    Example:
        >>> str(Key("recall", "text", "image", "any", 5))
        'recall/text->image/any@5'
        >>> str(Key("procrustes", "text", "image", mutual=True))
        'procrustes/image~text'
        >>> Key.parse("map/text->image/@R").k
        'R'
    """

    measure: str
    source: str | None = None
    target: str | None = None
    form: str = ""
    k: int | str | None = None
    mutual: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[^/\s]+", self.measure) or "" in (self.source, self.target):
            raise ModalignError(f"a score needs a measure in one word and names of modalities, got {self.measure!r}")
        if self.target is not None and self.source is None:
            raise ModalignError(f"a score of {self.measure} has a target but no source: {self.target!r}")
        if self.mutual and self.source is not None and self.target is not None and self.source > self.target:
            first, second = self.target, self.source
            object.__setattr__(self, "source", first)
            object.__setattr__(self, "target", second)

    def __str__(self) -> str:
        form = _escaped(self.form, "%/@") + ("" if self.k is None else f"@{self.k}")
        subject = self._subject() or (ALL if form else "")
        return "/".join(part for part in (self.measure, subject, form) if part)

    def _subject(self) -> str:
        names = [_escaped(name, "%/~>@*") for name in (self.source, self.target) if name is not None]
        return (BETWEEN if self.mutual else TOWARD).join(names)

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key that a text stands for; ``str`` of it gives the text back.

        Raises:
            ModalignError: a text that is no key.

        Example:
            >>> Key.parse("trustworthiness/text.features~text.space/@10").target
            'text.space'
        """
        measure, _, rest = text.partition("/")
        subject, _, tail = rest.partition("/")
        form, at, k = tail.rpartition("@") if "@" in tail else (tail, "", "")
        mutual = BETWEEN in subject
        names = subject.split(BETWEEN if mutual else TOWARD) if subject not in ("", ALL) else []
        if len(names) > 2 or "" in names or "/" in tail or bool(at) != bool(k) or (rest and not (names or tail)):
            raise ModalignError(f"{text!r} is no name of a score: measure/text->image/form@k or the like is expected")
        source, target = ([unquote(name) for name in names] + [None, None])[:2]
        depth = (int(k) if k.isdecimal() else k) if at else None
        return cls(measure, source, target, unquote(form), depth, mutual)

    @property
    def subject(self) -> str:
        """The modalities in words for people.

        Example:
            >>> Key("rank", "text", "image").subject, Key("mean_recall").subject
            ('text → image', '')
        """
        return (" ~ " if self.mutual else " → ").join(n for n in (self.source, self.target) if n is not None)

    @property
    def words(self) -> str:
        """The measure and its form in words, for scores without a heading.

        Example:
            >>> Key.parse("mapping_error/a/worst@5").words
            'Mapping error, worst @5'
        """
        name = self.measure.replace("_", " ")
        form = " ".join(part for part in (self.form.replace("_", " "), "" if self.k is None else f"@{self.k}") if part)
        return f"{name[:1].upper()}{name[1:]}" + (f", {form}" if form else "")

    def back(self) -> Key:
        """The same of the opposite direction."""
        return replace(self, source=self.target, target=self.source)


def _escaped(name: str, reserved: str) -> str:
    return re.sub(f"[{re.escape(reserved)}]", lambda found: f"%{ord(found[0]):02X}", name)
