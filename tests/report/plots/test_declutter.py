from tracekit.report.plots.declutter import GAP, Box, Label, place

WITHIN = Box(0, 0, 300, 200)


def test_a_label_alone_stands_on_the_right_of_its_dot():
    assert place([Label(100, 50, 5, 40, 10)], WITHIN) == [Box(105 + GAP, 45, 145 + GAP, 55)]


def test_at_the_right_end_it_stands_on_the_left():
    (box,) = place([Label(290, 50, 5, 40, 10)], WITHIN)
    assert box is not None
    assert (box.left, box.right) == (245 - GAP, 285 - GAP)


def test_labels_of_one_spot_do_not_cover_each_other():
    boxes = [box for box in place([Label(150, 100, 5, 60, 10)] * 12, WITHIN) if box is not None]
    assert len(boxes) == 12
    for number, box in enumerate(boxes):
        assert not any(map(box.overlaps, boxes[:number]))
        assert box.left >= 0
        assert box.top <= 200


def test_what_finds_no_room_stays_away():
    taken = [Box(0, 0, 300, 200)]
    assert place([Label(150, 100, 5, 60, 10)], WITHIN, taken) == [None]


def test_dots_of_others_are_avoided():
    other = Box(100 + 5 + GAP, 45, 130, 55)
    (box,) = place([Label(100, 50, 5, 40, 10)], WITHIN, seen=[(other, 30.0)])
    assert box is not None
    assert not box.overlaps(other)
