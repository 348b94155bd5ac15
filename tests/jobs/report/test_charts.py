from jobs.report.charts import columns, first_fitting, fitting, line_points, shade


def test_columns_fill_the_width_and_leave_out_nothing_but_zeros():
    boxes = columns([4, 0, 2], ["a", "b", "c"], 100)

    assert [(box.title, box.y, box.height) for box in boxes] == [("a", 0, 100), ("c", 50, 50)]
    assert boxes[0].x == 0
    assert boxes[1].x + boxes[1].width <= 1000
    assert columns([], [], 100) == []


def test_a_line_needs_two_points():
    assert line_points([(1, 5)]) == ""
    assert line_points([(1, 0), (2, 5), (3, 10)], 100) == "0.0,100.0 500.0,50.0 1000.0,0.0"
    assert line_points([(1, 0), (2, 0)], 100) == "0.0,100.0 1000.0,100.0"


def test_small_counts_are_seen_beside_large_ones():
    assert shade(0, 1000) == 0
    assert 0.15 < shade(1, 1000) < 0.3
    assert shade(1000, 1000) == 1


def test_labels_fit():
    assert fitting("word", 10) == ""
    assert fitting("a long title of a scene", 80) == "a long tit…"
    assert first_fitting(["2024-01-01 to 2024-02-01", "2024-01-01", "7"], 70) == "2024-01-01"
    assert first_fitting(["1234567"], 20) == ""
