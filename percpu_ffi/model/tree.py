# SPDX-License-Identifier: GPL-2.0-only
r"""A red-black tree: a balanced search tree.

Every node is red or black.  Two rules keep the tree in balance: a red node has no red
child, and each path from the root down meets the same number of black nodes, so the
longest path has at most twice the nodes of the shortest.  The root is black.

The steps of a search depend on the shape, and the shape on how the rules are restored: here
as in Linux' ``lib/rbtree.c`` of 2009, after Cormen, Leiserson, Rivest and Stein,
"Introduction to Algorithms", chapter 13.  The code is the same for both sides: ``side`` and
``1 - side`` are left and right, or right and left.

        top               up           a rotation: a child moves up, its parent down to
       /   \             /  \           the other side; the order of the keys
     up     c    <->    a    top       a, up, b, top, c stays the same
    /  \                    /  \
   a    b                  b    c
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

LEFT, RIGHT = 0, 1

V = TypeVar("V")


class Node(Generic[V]):
    """A key with its value and two children."""

    __slots__ = ("child", "key", "parent", "red", "value")

    def __init__(self, key: int, value: V) -> None:
        self.key = key
        self.value = value
        self.red = True
        self.parent: Node[V] | None = None
        self.child: list[Node[V] | None] = [None, None]


class Tree(Generic[V]):
    """Values by integer keys; those of which one is erased are unique."""

    __slots__ = ("root", "size", "steps")

    def __init__(self) -> None:
        self.root: Node[V] | None = None
        self.size = 0
        self.steps: int  # nodes visited by the last insertion or search

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[V]:
        """Iterate over the values, lowest key first."""
        above: list[Node[V]] = []
        node = self.root
        while node or above:
            while node:
                above.append(node)
                node = node.child[LEFT]
            node = above.pop()
            yield node.value
            node = node.child[RIGHT]

    def find_last(self, key: int) -> V | None:
        """Return the value of the highest key up to ``key``."""
        node, last, steps = self.root, None, 0
        while node:
            steps += 1
            if key < node.key:
                node = node.child[LEFT]
                continue
            last = node
            if key == node.key:
                break
            node = node.child[RIGHT]
        self.steps = steps
        return last.value if last else None

    def insert(self, key: int, value: V) -> None:
        """Insert a red node as a leaf, then restore the rule of red nodes."""
        parent, below, self.steps = None, self.root, 0
        while below:
            self.steps += 1
            parent, below = below, below.child[key >= below.key]
        node = Node(key, value)
        self._link(node, parent, parent is not None and key >= parent.key)
        self.size += 1
        self._fix_red(node)

    def erase(self, key: int) -> None:
        """Remove the node of a key."""
        node = self.root
        while node and node.key != key:
            node = node.child[key > node.key]
        assert node, "there is no such key"
        self.size -= 1

        left, right = node.child
        if left and right:
            # the next higher node, which has no left child, takes its place
            next_ = right
            while lower := next_.child[LEFT]:
                next_ = lower
            below, lost_red = next_.child[RIGHT], next_.red
            if next_ is right:
                gap: tuple[Node[V] | None, int] = next_, RIGHT
            else:
                gap = next_.parent, LEFT
                self._link(below, *gap)
                self._link(right, next_, RIGHT)
            self._link(left, next_, LEFT)
            self._link(next_, *self._place(node))
            next_.red = node.red
        else:
            lost_red, gap = node.red, self._place(node)
            self._link(left or right, *gap)
        if not lost_red:
            self._fix_black(*gap)

    def _fix_red(self, node: Node[V]) -> None:
        """Fix a red node that may have a red parent."""
        while (parent := node.parent) and parent.red:
            top, side = self._place(parent)
            assert top, "the root is black"
            uncle = top.child[1 - side]
            if uncle and uncle.red:
                # move the red one level up, where it may clash again
                parent.red = uncle.red = False
                top.red = True
                node = top
                continue
            if node is parent.child[1 - side]:
                self._rotate(parent, side)  # from the inner side to the outer one
                parent = node
            self._rotate(top, 1 - side)
            parent.red, top.red = False, True
            return
        assert self.root
        self.root.red = False

    def _fix_black(self, parent: Node[V] | None, side: int) -> None:
        """Fix the paths through one side of ``parent``, which lack a black node."""
        while parent:
            short = parent.child[side]
            if short and short.red:
                break
            sibling = self._sibling(parent, side)
            if sibling.red:
                self._rotate(parent, side)
                sibling.red, parent.red = False, True
                sibling = self._sibling(parent, side)
            inner, outer = sibling.child[side], sibling.child[1 - side]
            if not (inner and inner.red) and not (outer and outer.red):
                # shorten the other side too, and continue one level up
                sibling.red = True
                parent, side = self._place(parent)
                continue
            if not (outer and outer.red):
                assert inner
                self._rotate(sibling, 1 - side)
                sibling, outer = inner, sibling
            self._rotate(parent, side)
            sibling.red, parent.red, outer.red = parent.red, False, False
            return
        short = parent.child[side] if parent else self.root
        if short:
            short.red = False

    def _sibling(self, parent: Node[V], side: int) -> Node[V]:
        """Return the other child: its paths have one more black node."""
        sibling = parent.child[1 - side]
        assert sibling, "all paths had the same number of black nodes"
        return sibling

    def _rotate(self, node: Node[V], side: int) -> None:
        """Move a node down to a side, and its child of the other side up."""
        up = node.child[1 - side]
        assert up, "a child to move up"
        place = self._place(node)
        self._link(up.child[side], node, 1 - side)
        self._link(up, *place)
        self._link(node, up, side)

    def _place(self, node: Node[V]) -> tuple[Node[V] | None, int]:
        """Return a node's parent and its side there."""
        parent = node.parent
        return parent, int(parent is not None and parent.child[RIGHT] is node)

    def _link(self, node: Node[V] | None, parent: Node[V] | None, side: int) -> None:
        """Make a node, or None, the child on one side of a parent, or the root."""
        if parent:
            parent.child[side] = node
        else:
            self.root = node
        if node:
            node.parent = parent
