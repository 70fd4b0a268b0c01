import csv
import io

import numpy as np
import pytest

from bids_inpaint.evaluation.report import Table, mean_and_sd, to_markdown, to_tsv, write_table

TABLE = Table(
    'x_name',
    'What it shows',
    [{'method': 'nothing', 'psnr': float('inf')}, {'method': 'network', 'r': 0.99987654}],
    ['A sentence.'],
)


def test_tsv_has_all_digits_and_says_what_is_missing():
    rows = list(csv.DictReader(io.StringIO(to_tsv(TABLE)), delimiter='\t'))
    assert rows == [
        {'method': 'nothing', 'psnr': 'inf', 'r': 'n/a'},
        {'method': 'network', 'psnr': 'n/a', 'r': '0.99987654'},
    ]


def test_markdown_is_a_table_with_notes():
    assert to_markdown(TABLE).splitlines() == [
        '### What it shows',
        '',
        '| method | psnr | r |',
        '| --- | --- | --- |',
        '| nothing | inf |  |',
        '| network |  | 0.999877 |',
        '',
        '- A sentence.',
    ]


def test_a_table_left_out_leaves_no_old_figures(tmp_path):
    write_table(TABLE, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {'x_name.tsv', 'x_name.md'}
    write_table(Table('x_name', 'What it shows', notes=['Left out.']), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['x_name.md']
    assert 'Left out.' in (tmp_path / 'x_name.md').read_text()


def test_mean_and_standard_deviation_of_a_sample():
    assert mean_and_sd([1, 3]) == (2, pytest.approx(np.sqrt(2)))
    assert mean_and_sd([2])[0] == 2
    assert np.isnan(mean_and_sd([2])[1])
    assert np.isnan(mean_and_sd([])[0])
    assert mean_and_sd([float('inf'), 1])[0] == float('inf')
