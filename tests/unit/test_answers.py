"""Whoever waits for the end of a task gets it, or hears why not; and so does whoever comes after."""

import os
import signal
import threading
import time
from collections.abc import Sequence
from typing import cast

import pytest
from redis.exceptions import AuthenticationError

from packsight.producer.answers import Answers
from packsight.shared.queue.results import Results, TaskEnd


class Broken:
    """Results of which the first look meets what nobody can read."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        self.looks += 1
        if self.looks == 1:
            raise ValueError("no JSON")
        return dict.fromkeys(task_ids, TaskEnd("SUCCESS", None, ""))


def test_a_look_that_breaks_is_told_to_whoever_waits_and_the_next_one_is_answered() -> None:
    answers = Answers(cast("Results", Broken()))
    with pytest.raises(ValueError, match="no JSON"):
        answers.wait("first", 60)
    end = answers.wait("second", 60)
    assert end is not None
    assert end.state == "SUCCESS"


class Slow:
    """Results of which each task but the first has one at once."""

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        return {one: TaskEnd("SUCCESS", None, "") for one in task_ids if one != "first"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_is_forked_while_somebody_waits_waits_with_a_thread_of_its_own() -> None:
    answers = Answers(cast("Results", Slow()))
    waiting = threading.Thread(target=answers.wait, args=("first", 5))
    waiting.start()
    while not answers._looking:
        time.sleep(0.001)
    if not (child := os.fork()):
        signal.alarm(30)  # a lock that the parent held would be waited for for ever
        os._exit(0 if answers.wait("second", 30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert answers.wait("third", 30)
    waiting.join()


class Refusing:
    """A database that refuses the password."""

    def read(self, task_ids: Sequence[str]) -> dict[str, TaskEnd]:
        raise AuthenticationError("invalid username-password pair or user is disabled.")


def test_a_refused_password_is_not_waited_out() -> None:
    with pytest.raises(AuthenticationError):
        Answers(cast("Results", Refusing())).wait("one", 3600)
