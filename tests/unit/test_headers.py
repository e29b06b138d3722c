"""What a message may ask for, over messages of every kind of oddness; no server is needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import InvalidTaskError
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu import Message

from packsight.shared.queue import headers, refused

ARGUMENT = [{"images": ["https://a.example/1.jpg?sig=5ec2e7"]}]


def message(own: Any = None, body: Any = None, **properties: Any) -> Message:
    """A message of protocol 2, with headers of its own."""
    told = {"id": "t", "task": "packsight.recognize", **(own or {})}
    text = body if isinstance(body, bytes) else json.dumps([ARGUMENT, {}, {}] if body is None else body).encode()
    return Message(
        text, content_type="application/json", content_encoding="utf-8", headers=told, properties=properties,
        accept={"application/json"},
    )  # fmt: skip


def admitted(one: Message) -> dict[str, Any]:
    assert headers.admit(one) is None
    found: dict[str, Any] = one.headers
    return found


@pytest.mark.parametrize("limits", [[1e9, None], [0.05, 0.05], [None, None], None, "soon", [[[]]], -1])
def test_the_time_limit_is_the_workers_whatever_a_message_says(limits: Any) -> None:
    assert admitted(message({"timelimit": limits}))["timelimit"] == [None, None]


def test_what_a_message_calls_itself_and_its_arguments_is_not_taken_over() -> None:
    found = admitted(message({"shadow": "celery.ping", "argsrepr": "x" * 10**6, "kwargsrepr": "\x1b[2J"}))
    assert found["shadow"] is None
    assert found["argsrepr"] == '[{"images": ["https://a.example/1.jpg?…"]}]'
    assert found["kwargsrepr"] == "{}"


def test_a_batch_is_shown_with_its_job_and_its_first_photos_as_their_sender_calls_them() -> None:
    body = [[{"images": ["s3://b/uploads/1", "s3://b/uploads/2"]}], {}, {}]
    found = admitted(message({"called": {"job": "tea\x1b", "photos": ["a.jpg", "https://u:p@h/b?sig=5ec2e7", "c.jpg"]}}, body))
    assert found["argsrepr"] == '[{"job": "tea�", "images": ["a.jpg", "https://…@h?…"]}]'
    assert "called" not in found


NAMES = [
    ("monday", "monday"), ("was\x1b it?", "was� it?…"), ("for https://u:p@h/b?sig=5ec2e7", "for https://…@h?…"),
    ("n" * 10**6, "n" * 200),
]  # fmt: skip


@pytest.mark.parametrize(("name", "known"), NAMES, ids=range(len(NAMES)))
def test_a_batch_is_shown_with_the_name_of_its_job(name: str, known: str) -> None:
    found = admitted(message({"called": {"job": "tea", "name": name, "photos": ["a.jpg"]}}))
    assert found["argsrepr"] == f'[{{"job": "tea", "name": "{known}", "images": ["a.jpg"]}}]'


ODD_NAMES: list[Any] = [
    None, "x", [], {"job": 5, "photos": []}, {"job": "j", "name": [["a"]], "photos": []}, {"job": "j", "name": "", "photos": []},
    {"job": "j", "photos": "abc"}, {"photos": ["a"]}, {"job": "j" * 10**6, "photos": [[]]},
]  # fmt: skip


@pytest.mark.parametrize("names", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_odd_names_keep_no_message_from_being_worked_on_or_shown(names: Any) -> None:
    shown = admitted(message({"called": names}))["argsrepr"]
    assert "https://a.example/1.jpg?…" in shown and len(shown) < 1100


def test_fields_that_nobody_knows_are_left_out() -> None:
    found = admitted(message({"called_directly": True, "hostname": 5, "_children": 1, "x": "y" * 5_000_000, "deep": [[[[]]]]}))
    assert {"called_directly", "hostname", "_children", "x", "deep"}.isdisjoint(found)
    assert (found["id"], found["task"]) == ("t", "packsight.recognize")


@pytest.mark.parametrize("embed", [None, {"args": ["https://b.example/2.jpg"], "timelimit": [0.1, 0.1], "new_in_celery_6": 1}])
def test_a_message_without_callbacks_or_with_fields_beside_them_is_taken_without_these(embed: Any) -> None:
    one = message(body=[ARGUMENT, {}, embed])
    admitted(one)
    assert one.payload == json.loads(one.body) == one.decode() == [ARGUMENT, {}, {}]


def test_callbacks_are_left_as_they_are_beside_what_is_left_out() -> None:
    due = {"__type__": "datetime", "__value__": "2026-11-26T12:00:00+00:00"}
    callbacks = {"callbacks": [{"task": "a", "options": {"eta": due}}], "errbacks": None}
    one = message(body=[ARGUMENT, {}, {**callbacks, "x": 1}])
    admitted(one)
    assert json.loads(one.body) == [ARGUMENT, {}, callbacks]


def test_stamps_that_say_too_much_are_left_out_and_the_others_kept() -> None:
    kept = {"tenant": "a", "hops": [1, "b"], "none": None}
    told = {**kept, "trace": {"id": "5ec2e7"}, "page": "x" * 1025, "deep": [["x"]]}
    found = admitted(message({"stamps": told, "stamped_headers": sorted(told)}))
    assert (found["stamps"], found["stamped_headers"]) == (kept, sorted(kept))


@pytest.mark.parametrize("stamps", [{"tenant": "a", "deep": [["x"]]}, {"deep": [["x"]]}, {}, None])
def test_a_task_can_be_sent_again_whichever_of_its_stamps_were_left_out(stamps: Any) -> None:
    found = admitted(message({"stamps": stamps, "stamped_headers": ["deep", "nowhere", "tenant", "tenant"]}))
    assert found["stamped_headers"] == (["tenant"] if stamps and "tenant" in stamps else [])
    with Celery("test", broker="memory://", set_as_current=False) as app:
        assert app.send_task("packsight.recognize", **Context(found).as_execution_options()).id == "t"


@pytest.mark.parametrize(("retries", "left"), [(None, 0), (-5, 0), (3, 3), (10**30, 10_000)])
def test_the_number_of_retries_is_clamped(retries: Any, left: int) -> None:
    assert admitted(message({"retries": retries}))["retries"] == left


def test_properties_of_odd_types_are_left_out() -> None:
    one = message(reply_to={"a": 1}, correlation_id=[1], priority="high", expiration=[[]])
    admitted(one)
    assert one.properties == {"correlation_id": "t", "reply_to": "", "priority": 0}
    one = message(reply_to="here", correlation_id="t", priority=3)
    admitted(one)
    assert one.properties == {"correlation_id": "t", "reply_to": "here", "priority": 3}


@pytest.mark.parametrize("text", ["2026-11-26T12:00:00Z", "2026-11-26T15:00:00+03:00", "2026-11-26T12:00:00"])
def test_a_time_is_read_as_iso_8601_writes_it(text: str) -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    assert admitted(message({"expires": text}))["expires"] == noon.isoformat()
    assert headers.admit(message({"eta": noon.isoformat()})) == noon.timestamp()


def test_a_message_that_is_to_wait_is_told_when_and_waits_no_second_time() -> None:
    soon = datetime.now(UTC) + timedelta(hours=6)
    one = message({"eta": soon.isoformat()})
    assert headers.admit(one) == soon.timestamp()
    assert one.headers["eta"] is None


def deep(levels: int) -> Any:
    found: Any = "bottom"
    for _ in range(levels):
        found = [found]
    return found


REFUSED: list[tuple[str, Any, Any]] = [
    ("id: Field required", {"id": ...}, None),
    ("id: ", {"id": 5}, None),
    ("id: ", {"id": ""}, None),
    ("id: ", {"id": "x" * 257}, None),
    ("id: ", {"id": "\ud800"}, None),
    ("task: ", {"task": ["packsight.recognize"]}, None),
    ("task: ", {"task": "x" * 5_000_000}, None),
    ("eta: no time", {"eta": "soon"}, None),
    ("eta: no time", {"eta": "9999-12-31T23:59:59-12:00"}, None),
    ("eta: ", {"eta": 1e300}, None),
    ("wait for 7 days at most", {"eta": "2999-01-01T00:00:00Z"}, None),
    ("expires: ", {"expires": 5}, None),
    ("expires: no time", {"expires": "🕛"}, None),
    ("expires: ", {"expires": {"a": 1}}, None),
    ("retries: ", {"retries": "many"}, None),
    ("retries: ", {"retries": 0.5}, None),
    ("root_id: ", {"root_id": ["r"]}, None),
    ("parent_id: ", {"parent_id": {}}, None),
    ("group: ", {"group": 5}, None),
    ("group: ", {"group": "g" * 5_000_000}, None),
    ("group_index: ", {"group_index": "1"}, None),
    ("stamps", {"stamps": [1]}, None),
    ("stamps", {"stamps": {"a" * 257: 1}}, None),
    ("stamped_headers", {"stamped_headers": [["unhashable"]]}, None),
    ("stamped_headers", {"stamped_headers": ["s"] * 10_000}, None),
    ("ignore_result: ", {"ignore_result": "no"}, None),
    ("origin: ", {"origin": "o" * 5_000_000}, None),
    ("args: ", {}, ["text", {}, {}]),
    ("kwargs: ", {}, [[], [], {}]),
    ("embed: ", {}, [[], {}, []]),
    ("embed: ", {}, [[], {}, "text"]),
    ("args is nested too deeply", {}, [[deep(40)], {}, {}]),
    ("kwargs is nested too deeply", {}, [[], {"a": deep(40)}, {}]),
    ("embed is nested too deeply", {}, [[], {}, {"chain": deep(300)}]),
    ("unreadable body", {}, b"[" * 2000 + b"]" * 2000),
    ("unreadable body", {}, b"[[" + b"9" * 5000 + b"], {}, {}]"),
    ("unreadable body", {}, b"\xff"),
    ("args holds half a character", {}, [["\udfff"], {}, {}]),
    ("args holds what is no number", {}, [[float("nan")], {}, {}]),
    ("args holds a value of type bytes", {}, [[{"__type__": "bytes", "__value__": "x"}], {}, {}]),
    ("its callbacks have more than", {}, [[], {}, {"callbacks": ["x" * 1024] * 1024}]),
    ("the body is neither", {}, [[], {}]),
    ("the body is neither", {}, {}),
    ("the body is neither", {}, "text"),
    ("the body is neither", {}, 5),
]


@pytest.mark.parametrize(("reason", "own", "body"), REFUSED, ids=[f"{number}-{case[0]}" for number, case in enumerate(REFUSED)])
def test_what_cannot_be_a_task_is_refused_with_a_sentence_and_can_be_kept(reason: str, own: Any, body: Any) -> None:
    one = message(own, body)
    one.headers = {name: value for name, value in one.headers.items() if value is not ...}
    with pytest.raises(InvalidTaskError) as raised:
        headers.admit(one)
    assert reason in str(raised.value)
    letter = refused.dead_letter(one, raised.value)
    assert type(letter).model_validate_json(letter.model_dump_json()) == letter
    assert len(letter.message) <= 1000
    assert len(letter.task_id) <= 256


def test_fields_of_the_first_protocol_are_looked_at_too() -> None:
    body = {"id": "t", "task": "packsight.recognize", "args": ARGUMENT, "timelimit": [1e9, 1], "eta": None, "retries": 10**9}
    one = message(None, body)
    one.headers = {}
    found = admitted(one)
    assert (found["timelimit"], found["retries"], found["id"]) == ([None, None], 10_000, "t")
    assert one.payload["kwargs"] == {}
    with pytest.raises(InvalidTaskError):
        headers.admit(message(None, {**body, "expires": 5}))


@pytest.mark.parametrize("name", ["callbacks", "errbacks", "chord"])
@pytest.mark.parametrize("own", [{}, {"embed": {}, "callbacks": None, "errbacks": None, "chord": None}])
def test_callbacks_of_the_first_protocol_are_looked_at_whatever_else_calls_itself_embed(name: str, own: Any) -> None:
    body = {"id": "t", "task": "packsight.recognize", "args": ARGUMENT, "embed": {}}
    with pytest.raises(InvalidTaskError, match="embed is nested too deeply"):
        headers.admit(message(own, {**body, name: deep(300)}))
    with pytest.raises(InvalidTaskError, match="its callbacks have more than"):
        headers.admit(message(own, {**body, name: ["x" * 1024] * 1024}))
    admitted(message({"embed": deep(300)}, {**body, "embed": deep(300), name: ["x"]}))


@pytest.mark.parametrize(("name", "harmless"), [("args", []), ("kwargs", {})])
def test_arguments_of_the_first_protocol_are_those_of_the_body(name: str, harmless: Any) -> None:
    body = {"id": "t", "task": "packsight.recognize", name: [deep(40)] if name == "args" else {"a": deep(40)}}
    with pytest.raises(InvalidTaskError, match=f"not a task message: {name} is nested too deeply"):
        headers.admit(message({name: harmless}, body))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted({*headers._Fields.__annotations__, "timelimit", "shadow"})), anything), anything)
def test_no_message_raises_anything_else(own: dict[str, Any], body: Any) -> None:
    one = message(None, body)
    one.headers = own
    try:
        headers.admit(one)
    except InvalidTaskError as error:
        refused.dead_letter(one, error).model_dump_json()
    else:
        json.dumps(one.headers)
