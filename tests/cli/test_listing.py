from bids_inpaint.cli.listing import format_table


def test_columns_are_aligned_and_cells_are_one_line_each():
    table = format_table(('scan', 'reason'), [('sub-01_run-1', 'a\nb'), ('sub-02', '')])
    assert table.splitlines() == ['scan          reason', 'sub-01_run-1  a b', 'sub-02']
