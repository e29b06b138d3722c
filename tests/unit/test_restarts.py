"""When a part that ended is started again."""

from __future__ import annotations

from packsight.deploy.stack.restarts import RestartRules, Restarts

RULES = RestartRules(first=1, most=5, steady=100, limit=4)


def test_pauses_grow_and_at_last_it_is_given_up() -> None:
    restarts = Restarts(RULES)
    assert [restarts.pause_after(1) for _ in range(5)] == [1, 2, 4, 5, None]


def test_who_lived_long_is_started_again_at_once_and_for_ever() -> None:
    restarts = Restarts(RULES)
    assert [restarts.pause_after(life) for life in (1, 1, 1, 1, 100, 1, 100, 100)] == [1, 2, 4, 5, 1, 2, 1, 1]
