"""Words of a caption as the COCO caption tools count them, without Java.

Those tools cut captions by the rules of the Penn Treebank (Stanford's PTBTokenizer 3.4.1, lower case) and then drop
punctuation. These are the rules that captions meet; docs/translation.md says on how many captions the words are equal.
"""

from __future__ import annotations

import re

#: Tokens that the COCO tools drop after cutting. "?!" and "-lsb-" are not among them, so they stay.
PUNCTUATION = frozenset(['"', "'", "-lrb-", "-rrb-", "-lcb-", "-rcb-", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
#: Words that keep their full stop.
ABBREVIATIONS = (
    "mr|mrs|ms|dr|st|jr|sr|vs|etc|prof|gen|sgt|lt|col|capt|rev|hon|ave|blvd|rd|mt|ft|inc|co|corp|ltd|dept|est"
)
#: Words that are cut in two, and where.
JOINED = {"cannot": 3, "gonna": 3, "gotta": 3, "lemme": 3, "gimme": 3, "wanna": 3}

_STYLE = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "´": "'", "…": "...", "–": "--", "—": "--"})
_TOKEN = re.compile(
    r"""
      https?://[^\s"<>|]+ | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+  # addresses
    | \.{3,} | -{2,} | [?!]{2,}                                       # runs of marks
    | '\d\ds\b | 'n'(?!\w)                                            # the '90s, rock 'n' roll
    | (?:[^\W\d_]\.){2,}[^\W\d_]?(?!\w)                               # U.S.
    | (?<!\w)(?:ABBREVIATIONS|[a-z])\.(?!\w)                          # St. and initials
    | '(?:s|m|d|re|ve|ll)(?!\w)                                       # clitics that stand alone
    | (?:[#@](?=[^\W\d]))?\w(?:\w|(?<!\w\w)&(?=\w(?!\w))|\+|[-./](?=\w)|'(?=[^\W\d_])|(?<=\d)[,:](?=\d))*
    | \S
    """.replace("ABBREVIATIONS", ABBREVIATIONS),
    re.VERBOSE,
)
_CLITIC = re.compile(r"(?P<stem>.+?)(?P<clitic>n't|'(?:s|m|d|re|ve|ll))")


def coco_tokens(caption: str) -> list[str]:
    """Lower-case words of a caption by the rules of the COCO caption tools, without punctuation.

    Example:
        >>> coco_tokens('A man\\'s "T-shirt" can\\'t cost $5.00, e.g. in the U.S.')
        ['a', 'man', "'s", 't-shirt', 'ca', "n't", 'cost', '$', '5.00', 'e.g.', 'in', 'the', 'u.s.']
    """
    out: list[str] = []
    for match in _TOKEN.finditer(caption.lower().translate(_STYLE)):
        out += _cut(match.group())
    return [token for token in out if token not in PUNCTUATION]


def _cut(token: str) -> list[str]:
    """Contractions in two, brackets by their names."""
    if token in JOINED:
        return [token[: JOINED[token]], token[JOINED[token] :]]
    found = _CLITIC.fullmatch(token)
    if found:
        return [found["stem"], found["clitic"]]
    return [BRACKETS.get(token, token)]
