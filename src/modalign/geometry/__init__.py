"""The functional core: tensors in, tensors out. Each module is loaded on first use: ``geometry.transport``, ...

| where | what is there |
|---|---|
| ``transport`` | plans between two sets, exact and entropic, whole or in part; divergence, Gromov, barycentre |
| ``neighbours`` | exact nearest neighbours, losses that keep neighbourhoods, geodesic distances, signs of collapse |
| ``similarity`` | how alike two representations of the same items are: CKA, mutual neighbours, CCA, ranks |
| ``correlation`` | principal axes and canonical correlation, from known and guessed links |
| ``procrustes`` | the best rotation of one set onto another, and the distance that is left |
| ``cost``, ``graph`` | cosine and squared costs; neighbourhood graphs, their pieces, gaps and bridges |
| ``spread``, ``information`` | uniformity, dimensions in use, hubs; what one set tells of another |
| ``contrast``, ``multilinear``, ``volume``, ``bridge``, ``matching`` | what the objectives of these names compute |
| ``dispersion`` | losses that keep rows, or coordinates, from saying the same |
"""

from __future__ import annotations

from .. import public

__getattr__, __dir__ = public.lazily(__name__)
