import math

import pytest

from doh3d.sweep.table import mean_interval


def test_intervals_against_a_table_of_students_t():
    # t(0.975) is 2.776 with 4 degrees of freedom and 12.706 with 1; s of 1..5 is sqrt(2.5).
    interval = mean_interval([1, 2, 3, 4, 5])
    assert interval.mean == 3
    assert interval.half_width == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert mean_interval([0.9, 1.0]).half_width == pytest.approx(12.7062 * 0.05, rel=1e-5)
    assert mean_interval([0.5, 0.5, 0.5]).half_width == 0
    assert mean_interval([0.7]).half_width is None
