"""How surely a partner can be told with the maps known, and that data of one seed stay the same."""

import numpy as np


def test_a_partner_is_harder_to_tell_among_more_rows():
    from benchmarks.sureness import run

    lines = run([1, 300, 6000])
    first, near = ([line[name] for line in lines] for name in ("partner first, %", "among 8, %"))
    assert first[0] == near[0] == 100
    assert 100 > first[1] > first[2] > 60  # by chance: .02
    assert all(b >= a for a, b in zip(first, near, strict=True))


def test_linked_rows_are_partners_and_the_others_stand_in_another_order(tmp_path):
    from benchmarks.growth import source, write

    write(tmp_path, 300, 100, seed=3)
    x, y = (np.load(tmp_path / f"{m}.npy") for m in "xy")
    drawn = source(3)[2](300)
    assert np.array_equal(x, drawn[0])
    assert np.array_equal(y[:100], drawn[1][:100])
    assert not np.array_equal(y[100:], drawn[1][100:])
    assert np.array_equal(np.sort(y[100:, 0]), np.sort(drawn[1][100:, 0]))
