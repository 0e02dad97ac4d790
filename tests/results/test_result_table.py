from __future__ import annotations

import datetime
from concurrent.futures import ThreadPoolExecutor

import pytest

import doh3d
import provenance
from result_table import ResultTable

COLUMNS = ["mesh", "method", "bytes", "iou"]
KEY = ["mesh", "method"]


@pytest.fixture
def table(tmp_path):
    return ResultTable(tmp_path / "rd.tsv", COLUMNS, KEY)


def test_a_row_says_where_it_is_from(table):
    row = table.add(mesh="cow", method="codec", bytes=300)
    assert table.rows() == [row]
    assert list(row) == [*COLUMNS, *provenance.PROVENANCE]
    assert (row["mesh"], row["bytes"], row["iou"], row["seed"]) == ("cow", "300", "", "0")
    assert row["version"] == doh3d.__version__
    assert row["code"] == provenance.code("codec")
    assert row["date"] == datetime.date.today().isoformat()
    assert row["machine"].endswith(("thread", "threads"))
    assert row["processor"]


def test_columns_of_its_own_have_other_names_than_the_provenance(tmp_path):
    with pytest.raises(ValueError, match=r"columns \['processor'\] have the provenance's names"):
        ResultTable(tmp_path / "web.tsv", [*COLUMNS, "processor"], KEY)
    # Seeds are part of many keys.
    assert ResultTable(tmp_path / "rd.tsv", ["seed", *COLUMNS], KEY).columns.count("seed") == 1


def test_peers_have_a_hash_of_their_own(table):
    row = table.add(mesh="cow", method="draco", bytes=300)
    assert row["code"] == provenance.code("peers") != provenance.code("codec")
    assert table.has(mesh="cow", method="draco")


def test_rows_of_other_code_are_measured_again_and_replaced(table, monkeypatch):
    table.add(mesh="cow", method="codec", bytes=300)
    table.add(mesh="pig", method="codec", bytes=400)
    assert table.has(mesh="cow", method="codec")
    assert not table.has(mesh="cow", method="draco")
    codes = {"codec": "ffffffff", "peers": provenance.code("peers")}
    monkeypatch.setattr(provenance, "code", codes.__getitem__)
    assert not table.has(mesh="cow", method="codec")
    table.add(mesh="cow", method="codec", bytes=200)
    assert table.has(mesh="cow", method="codec")
    assert [(row["mesh"], row["bytes"]) for row in table.rows()] == [("pig", "400"), ("cow", "200")]


def test_rows_that_were_measured_together_are_replaced_together(table):
    key = {"mesh": "cow", "method": "coin"}
    table.add_all([{**key, "bytes": size} for size in (1, 2, 3)])
    assert [row["bytes"] for row in table.rows()] == ["1", "2", "3"]
    table.add_all([{**key, "bytes": size} for size in (4, 5)])
    assert [row["bytes"] for row in table.rows()] == ["4", "5"]


def test_a_table_from_before_a_column_gets_it(tmp_path):
    path = tmp_path / "rd.tsv"
    path.write_text("mesh\tmethod\tbytes\tversion\nold\tcodec\t300\t0.0.1\n")
    table = ResultTable(path, COLUMNS, KEY)
    (old,) = table.rows()
    assert (old["bytes"], old["version"], old["iou"], old["code"]) == ("300", "0.0.1", "", "")
    # To read changes nothing, and a row without a hash is of other code.
    assert path.read_text().startswith("mesh\tmethod\tbytes\tversion\n")
    assert not table.has(mesh="old", method="codec")
    table.add(mesh="new", method="codec")
    assert [row["mesh"] for row in table.rows()] == ["old", "new"]
    assert table.rows()[0] == old


def test_a_column_that_is_none_is_named(table):
    with pytest.raises(ValueError, match=r"rd\.tsv: there is no column color"):
        table.add(mesh="cow", method="codec", color="brown")


def test_a_value_of_several_lines_is_one_cell(table):
    row = table.add(mesh="cow", method="codec", iou='a "b"\n\tc')
    assert table.rows() == [row]
    assert row["iou"] == 'a "b" c'


def test_writers_at_once_lose_no_rows(tmp_path):
    path = tmp_path / "rd.tsv"

    def add_many(name):
        # As a process has it: the lock belongs to whoever has opened the folder.
        table = ResultTable(path, COLUMNS, KEY)
        for number in range(20):
            table.add(mesh=f"{name}{number}", method="codec")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_many, "abcd"))
    found = {row["mesh"] for row in ResultTable(path, COLUMNS, KEY).rows()}
    assert found == {f"{name}{number}" for name in "abcd" for number in range(20)}
