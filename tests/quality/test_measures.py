"""Measures and intervals against values worked out by hand or printed in the sources."""

import math

import pytest

from kbsync.quality.measures import Estimate, Places, bootstrapped, differences, measure, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (8, 10, 0.490, 0.943),  # Wilson's formula with z = 1.96, by hand
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
    ],
)
def test_share_has_the_interval_of_wilson(hits: int, count: int, low: float, high: float) -> None:
    share = wilson(hits, count)

    assert share.value == hits / count
    assert (round(share.low, 3), round(share.high, 3)) == (low, high)


def test_places_give_the_four_measures() -> None:
    second_and_fourth = Places((2, 4), wanted=2)

    assert not second_and_fourth.hits(1)
    assert second_and_fourth.hits(5)
    assert second_and_fourth.reciprocal == 0.5
    assert math.isclose(
        second_and_fourth.gain, (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))
    )


def test_answer_behind_the_tenth_place_gains_nothing_and_counts_for_the_mean_rank() -> None:
    late = Places((20,), wanted=1)

    assert (late.gain, late.reciprocal, late.hits(5)) == (0.0, 0.05, False)


def test_question_without_an_answer_counts_as_nothing() -> None:
    none = Places((), wanted=3)

    assert (none.first, none.gain, none.reciprocal, none.hits(5)) == (0, 0.0, 0.0, False)


def test_ten_best_answers_gain_all_even_where_more_are_right() -> None:
    assert Places(tuple(range(1, 11)), wanted=30).gain == 1.0


def test_measures_are_means_over_the_questions() -> None:
    measured = measure([Places((1,), 1), Places((2,), 1), Places((), 1), Places((10,), 1)])

    assert measured["hit@1"].value == 0.25
    assert measured["hit@5"].value == 0.5
    assert math.isclose(measured["mrr"].value, (1 + 1 / 2 + 1 / 10) / 4)
    assert math.isclose(measured["ndcg@10"].value, (1 + 1 / math.log2(3) + 1 / math.log2(11)) / 4)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    assert bootstrapped([(0.5,)] * 20) == [Estimate(0.5, 0.5, 0.5)]


def test_bootstrap_of_coin_throws_is_as_wide_as_the_binomial_says() -> None:
    [estimate] = bootstrapped([(float(number % 2),) for number in range(400)])

    # 1.96 * sqrt(.25 / 400) = .049 to each side
    assert estimate.value == 0.5
    assert 0.04 < 0.5 - estimate.low < 0.06
    assert 0.04 < estimate.high - 0.5 < 0.06


def test_difference_is_taken_question_by_question() -> None:
    ours = [Places((2,), 1)] * 30
    theirs = [Places((1,), 1)] * 30

    difference = differences(ours, theirs)

    assert difference["mrr"] == Estimate(0.5, 0.5, 0.5)
    assert difference["hit@1"] == Estimate(1.0, 1.0, 1.0)
    assert difference["hit@5"] == Estimate(0.0, 0.0, 0.0)
