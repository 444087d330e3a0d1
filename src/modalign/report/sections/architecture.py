"""Figure 1, drawn from the run's own model and specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ... import __version__
from ...errors import ModalignError
from ...metrics.key import Key
from ...metrics.shown import chosen, shown
from ...registry import resolved
from ..figures.architecture import Architecture, Branch, LossTerm, architecture_figure
from ..page import Absent, flat, render
from ..sheet import Sheet
from ..svg import short_number

WEIGHTS = {"transport": ("alpha", "L_OT"), "neighbourhood": ("beta", "L_RMA"), "retrieval": ("gamma", "L_retrieve")}
MOST_USES = 3
TELLING = ("epsilon", "k", "neighbours", "temperature", "rounds", "hops", "form", "name")


def build(sheet: Sheet) -> Markup | Absent:
    """Encoders, heads, shared space with transport and neighbourhoods, retrieval."""
    if not sheet.run.has_model and sheet.run.specification is None:
        return Absent("the run has kept neither a model nor its specification.")
    a = describe(sheet)
    if not a.branches:
        return Absent("neither model nor specification names a modality.")
    return render("architecture.html.j2", figure=architecture_figure(a))


def describe(sheet: Sheet) -> Architecture:
    """What the run's files say about its architecture; what they do not say is left open."""
    model = sheet.run.model if sheet.run.has_model else None
    spec = sheet.run.specification
    heads = model.heads.specification() if model else {}
    encoders = (dict(spec.encoders) if spec else {}) | (model.encoders if model else {})
    modalities = list(heads) or list(encoders) or list(sheet.items)
    asked = (spec.method if spec else {}) | (model.method if model else {})
    took = _table(model.record.get("took_part")) if model else {}
    method = _resolved(asked, sheet)
    learnt = _resolved(took, sheet) if took else method
    branches = [_branch(sheet, m, _table(heads.get(m)), encoders.get(m)) for m in modalities]
    dims = [d for m in modalities if (d := _width(_table(heads.get(m)))) is not None]
    return Architecture(
        branches, dims[0] if dims else None, terms(learnt), _solved(method, model.record if model else {}), _uses(sheet)
    )


def terms(method: Mapping[str, Any]) -> list[LossTerm]:
    """The parts of what is learned, from a method's settings.

    Weights are the settings alpha, beta and gamma wherever they stand, in the method or its objective; a method
    with a transport plan but no loss (transport-CCA) names its plan.

    Example:
        >>> [(t.weight, t.symbol, t.detail) for t in terms({"name": "transport_cca", "epsilon": 0.02, "weight": 0.3})]
        [('0.3', 'transport plan', 'epsilon 0.02')]
    """
    settings = flat(method, whole="end")  # a schedule is a value
    found = []
    for kind, (weight, symbol) in WEIGHTS.items():
        value = next((v for key, v in settings.items() if key.split(".")[-1] == weight), None)
        part = next((v for v in _tables(method, kind) if v), {})
        if (
            value is None
            or value == 0
            or (
                isinstance(method.get("objective"), Mapping)
                and kind in method["objective"]
                and method["objective"][kind] is None
            )
        ):
            continue
        found.append(LossTerm(kind, symbol, _weight(value), _detail(part)))
    extra = next((v for v in _tables(method, "terms") if v), {})
    weights = next((v for v in _tables(method, "weights") if v), {})
    found += [
        LossTerm("other", name, _weight(weights.get(name, 1)), _detail(_table(part))) for name, part in extra.items()
    ]
    if not any(t.kind == "transport" for t in found) and "epsilon" in method:
        detail = _detail({k: v for k, v in method.items() if k != "name"})
        found.insert(0, LossTerm("transport", "transport plan", _weight(method.get("weight", "")), detail))
    return found


def _branch(sheet: Sheet, modality: str, head: Mapping[str, Any], encoder: object) -> Branch:
    features, back, hubs = (_table(head.get(part)) for part in ("features", "map", "hubs"))
    named = encoder if isinstance(encoder, str) else str(_table(encoder).get("name") or "")
    width = features.get("width")
    example = next((i for i in sheet.items.get(modality, []) if i.picture or i.text), None)
    picture = sheet.thumbnail(example) if example else None
    words = example.text or "" if example else ""
    return Branch(
        modality, named, width if isinstance(width, int) else None, _head_steps(features, back, hubs), words, picture
    )


def _width(head: Mapping[str, Any]) -> int | None:
    """Of the rows that come out of a head."""
    dim, more = _table(head.get("map")).get("dim"), _table(head.get("hubs")).get("modalities", 0)
    return dim + more if isinstance(dim, int) and isinstance(more, int) else None


def _head_steps(features: Mapping[str, Any], back: Mapping[str, Any], hubs: Mapping[str, Any]) -> list[str]:
    front = [name for key, name in (("root", "square root"), ("unit", "unit length")) if features.get(key)]
    steps = [", ".join(front)] if front else []
    if features.get("landmarks"):
        steps.append(f"+ {features['landmarks']:,} kernel features")
    if features.get("rank"):
        steps.append(f"whitened axes: {features['rank']:,}")
    kind = f"linear + MLP ({back['hidden']:,})" if back.get("hidden") else "linear"
    steps.append(f"{kind} → {back['dim']:,}" if back.get("dim") else kind)
    if hubs:
        steps.append("hubs taken out")
    return steps[-3:]


def _uses(sheet: Sheet) -> list[tuple[str, str]]:
    """(topic, first value) of what was measured first of each kind."""
    focus = sheet.methods.get(sheet.focus or "")
    scores = chosen(focus.scores if focus else {}, "main")
    uses: dict[str, tuple[str, str]] = {}
    for key, s in scores.items():
        parsed = Key.parse(key)
        if s.at_least("headline") or parsed.mutual:
            uses.setdefault(parsed.measure, (s.topic, f"{s.heading or parsed.words} {shown(s)}"))
    return list(uses.values())[:MOST_USES] or [("Retrieval", "any modality to any other")]


def _resolved(method: dict[str, Any], sheet: Sheet) -> dict[str, Any]:
    """Settings with the method's defaults filled in, where this version of modalign made the run."""
    if sheet.versions.get("modalign") != __version__ or "name" not in method:
        return method
    try:
        return resolved("method", method)
    except ModalignError:  # a method of somebody's package that is not installed here
        return method


def _solved(method: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The method's name, and what it chose on dev."""
    if not method.get("name"):
        return ""
    chosen = [f"{key} {_weight(value)}" for key, value in _table(record.get("chosen")).items() if value is not None]
    took = _table(record.get("took_part"))
    descended = "training" in record or any(
        "descent" in _table(_table(t).get("settings")) for t in record.get("trials") or ()
    )
    kept = bool(took) and "objective" not in took and descended
    start = "; gradient descent raised nothing on dev: the start was kept" if kept else ""
    return f"Method: {method['name']}" + (f"; chosen on dev: {', '.join(chosen)}" if chosen else "") + start


def _detail(part: Mapping[str, Any]) -> str:
    telling = [f"{key} {_weight(part[key])}" for key in TELLING if key != "name" and part.get(key) not in (None, "")]
    name = part.get("name")
    return ", ".join([*([str(name)] if name and name not in WEIGHTS else []), *telling])


def _weight(value: object) -> str:
    """A weight: a number, or the end of a schedule."""
    if isinstance(value, Mapping):
        return f"→ {_weight(value.get('end', ''))}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return short_number(value)
    if isinstance(value, list):
        return " and ".join(map(str, value))
    return str(value)


def _table(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _tables(table: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """All tables of a name, at any depth, outermost first."""
    here = [_table(table.get(name))] if isinstance(table.get(name), Mapping) else []
    return here + [t for v in table.values() if isinstance(v, Mapping) for t in _tables(v, name)]
