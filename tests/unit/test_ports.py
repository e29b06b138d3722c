"""Ports of a stack's parts."""

from __future__ import annotations

from packsight.deploy.stack.ports import assign, free_ports


def test_each_part_gets_a_port_of_its_own_and_those_of_before_where_they_can_be_had() -> None:
    one, other, third = free_ports(3)
    assert assign(["valkey", "s3"], {"valkey": one, "s3": other}) == {"valkey": one, "s3": other}
    same = assign(["valkey", "s3"], {"valkey": one, "s3": one})
    assert same["valkey"] == one != same["s3"]
    taken = assign(["valkey", "s3"], {"valkey": one, "s3": other}, [one, third])
    assert taken["s3"] == other
    assert taken["valkey"] not in {one, other, third}
