# SPDX-License-Identifier: GPL-2.0-only
"""The model's red-black tree: in order, in balance, and of the shapes of the book.

A tree is written as (left key right), a red key with a star.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from percpu_ffi.model.tree import Tree


def tree_of(*keys: int) -> Tree[str]:
    tree: Tree[str] = Tree()
    for key in keys:
        tree.insert(key, str(key))
    return tree


def drawn(node: Any) -> str:
    if not node:
        return ""
    left, right = (drawn(child) for child in node.child)
    key = f"{node.key}{'*' * node.red}"
    return f"({left} {key} {right})" if left or right else key


@pytest.mark.parametrize(
    ("keys", "shape"),
    [
        ([1], "1"),
        ([1, 2], "( 1 2*)"),
        # in a line: the middle node moves up, from either side
        ([1, 2, 3], "(1* 2 3*)"),
        ([3, 2, 1], "(1* 2 3*)"),
        # zigzag: first rotate to a line, then up
        ([1, 3, 2], "(1* 2 3*)"),
        ([3, 1, 2], "(1* 2 3*)"),
        # a red uncle: both become black, and the root stays black
        ([1, 2, 3, 4], "(1 2 ( 3 4*))"),
        ([2, 1, 4, 3], "(1 2 (3* 4 ))"),
        ([1, 2, 3, 4, 5], "(1 2 (3* 4 5*))"),
        # a red uncle: the grandparent becomes red and conflicts with its parent
        ([1, 2, 3, 4, 5, 6, 7, 8], "((1 2* 3) 4 (5 6* ( 7 8*)))"),
        # Cormen, Leiserson, Rivest and Stein, exercise 13.3-2
        ([41, 38, 31, 12, 19, 8], "(((8* 12 ) 19* 31) 38 41)"),
    ],
)
def test_insertion(keys: list[int], shape: str) -> None:
    assert drawn(tree_of(*keys).root) == shape


def test_erasure_step_by_step() -> None:
    # the same book, exercise 13.4-3: the keys of 13.3-2 again, in this order
    tree = tree_of(41, 38, 31, 12, 19, 8)
    shapes = []
    for key in (8, 12, 19, 31, 38):
        tree.erase(key)
        shapes.append(drawn(tree.root))
    assert shapes == ["((12 19* 31) 38 41)", "(( 19 31*) 38 41)", "(31 38 41)", "( 38 41*)", "41"]


def test_erased_node_is_replaced_by_the_next_higher_one() -> None:
    tree = tree_of(1, 2, 3, 4, 5, 6, 7, 8)
    assert drawn(tree.root) == "((1 2* 3) 4 (5 6* ( 7 8*)))"
    tree.erase(6)
    assert drawn(tree.root) == "((1 2* 3) 4 (5 7* 8))"
    tree.erase(4)  # 5 has moved to the place of 4, and 8 became red
    assert drawn(tree.root) == "((1 2* 3) 5 ( 7 8*))"


def check(tree: Tree[str]) -> None:
    """Check both rules, the links and the order."""

    def black_height(node: Any, parent: Any) -> int:
        if not node:
            return 0
        assert node.parent is parent
        assert not (node.red and parent.red)
        left, right = (black_height(child, node) for child in node.child)
        assert left == right
        return left + (not node.red)

    assert not (tree.root and tree.root.red)
    black_height(tree.root, None)
    values = list(map(int, tree))
    assert values == sorted(values)
    assert len(values) == len(tree)


@pytest.mark.parametrize("count", [6, 11, 25])
def test_rules_hold_while_a_few_keys_come_and_go(count: int) -> None:
    rng = random.Random(count)
    for _ in range(200 // count):
        keys = rng.sample(range(count), count)
        tree = tree_of(*keys)
        check(tree)
        while keys:
            tree.erase(keys.pop(rng.randrange(len(keys))))
            check(tree)
            assert list(map(int, tree)) == sorted(keys)


@pytest.mark.parametrize("seed", range(5))
def test_rules_hold_after_any_operations(seed: int) -> None:
    rng = random.Random(seed)
    tree: Tree[str] = Tree()
    keys: set[int] = set()
    for step in range(1500):
        if not keys or rng.random() < (0.75 if step % 600 < 300 else 0.3):
            key = rng.randrange(10**6)
            if key not in keys:
                tree.insert(key, str(key))
            keys.add(key)
        else:
            key = rng.choice(sorted(keys))
            tree.erase(key)
            keys.remove(key)
        if not step % 10:
            check(tree)
            assert list(map(int, tree)) == sorted(keys)
    for key in sorted(keys):
        tree.erase(key)
    assert tree.root is None
    assert not list(tree)


def test_last_that_is_not_above() -> None:
    tree = tree_of(10, 20, 30)
    found = {key: tree.find_last(key) for key in (9, 10, 19, 20, 21, 30, 31)}
    assert found == {9: None, 10: "10", 19: "10", 20: "20", 21: "20", 30: "30", 31: "30"}
    assert Tree[str]().find_last(1) is None


def test_steps_are_the_nodes_on_the_way() -> None:
    # (1 2 (3* 4 5*))
    tree = tree_of(1, 2, 3, 4, 5)
    steps = []
    for key in (1, 2, 3, 4, 5, 6):
        tree.find_last(key)
        steps.append(tree.steps)
    assert steps == [2, 1, 3, 2, 3, 3]
    tree.insert(7, "7")
    assert tree.steps == 3
    tree.find_last(7)
    assert tree.steps == 4
