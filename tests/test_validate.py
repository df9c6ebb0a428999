# SPDX-License-Identifier: GPL-2.0-only
"""validate() finds every broken invariant; the damage is done to a model, where it is easy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Kind, Make

from percpu_ffi import ConfigError, InvariantError, Location, Model, PerCpu


@pytest.fixture
def model() -> Any:
    """|SSSS|aaaa|....|bbbb|............|   in chunk 0, and chunk 1 with 24 bytes in use."""
    with Model(**TINY) as model:
        _a, freed, _b = model.alloc(64), model.alloc(64), model.alloc(64)
        rest = model.alloc(768)
        model.alloc(24)
        model.free(freed)
        model.free(rest)
        yield model


def test_sound_allocators_pass(kind: Kind, tiny: Make) -> None:
    for allocator in (kind(), kind(first_chunk="embed"), kind(first_chunk="remap"), tiny()):
        with allocator:
            allocator.validate()
            allocator.validate({})
            live = dict.fromkeys(allocator.alloc_many([100] * 30), 100)
            allocator.validate(live)
            ptr, _ = live.popitem()
            allocator.free(ptr)
            allocator.validate(live)
            allocator.free_many(list(live))
            allocator.validate({})


def chunk(model: Model, number: int = 0) -> Any:
    return next(chunk for chunk in model._policy.chunks if chunk.id == number)


def set_(name: str, value: Any) -> Callable[[Model], None]:
    return lambda model: setattr(chunk(model), name, value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: chunk(m).map.append(8), "the map covers 1032 bytes of 1024"),
        (lambda m: chunk(m).map.append(0), "the map has an entry of 0"),
        (lambda m: chunk(m).map.__setitem__(slice(2, 3), [32, 32]), "free entries .* neighbours"),
        (set_("free_size", 8), "free_size is 8, the free entries sum up to 832"),
        (set_("contig_hint", 700), "the contig hint of 700 is below the largest free range of 768"),
        (set_("contig_hint", 2000), "the contig hint of 2000 is above the 1024 bytes of the map"),
        (lambda m: chunk(m).populated.pop(), "the state has 15 pages of 16"),
        (set_("map_alloc", 4), "a map of 5 entries has room for 4"),
        (set_("map_alloc", 24), "a map of 5 entries has room for 24"),
        (set_("immutable", True), "immutable is True"),
        (lambda m: chunk(m).populated.__setitem__(1, 1), "held by some CPUs only"),
        (lambda m: chunk(m).populated.__setitem__(3, 0), r"area at 192 is in pages \[3\]"),
        (lambda m: chunk(m).populated.__setitem__(0, 0), r"area at 0 is in pages \[0\]"),
        (
            lambda m: m._policy.slots[3].append(m._policy.slots[7].pop()),
            "chunk 1 .* is in slot 3 instead of 7",
        ),
        (
            lambda m: m._policy.slots[7].clear(),
            r"lists hold the chunks \[\], the address tree \[0, 1\]",
        ),
        (lambda m: m._policy.slots[2].append(chunk(m)), r"the lists hold the chunks \[0, 0, 1\]"),
        (
            lambda m: m._policy.chunks.erase(chunk(m, 1).addr),
            r"hold the chunks \[0, 1\], the address tree \[0\]",
        ),
    ],
)
def test_damage_is_found(model: Model, damage: Any, words: str) -> None:
    model.validate()
    damage(model)
    with pytest.raises(InvariantError, match=words):
        model.validate()


def test_chunk_in_a_higher_slot_after_a_partial_failure_passes() -> None:
    """A small head went to the area before it, then the map could not grow: "half-done"."""
    with Model(**TINY) as model:
        model.alloc(8)
        model._policy.slots[-1].append(model._policy.slots[7].pop())
        with pytest.raises(InvariantError, match="is in slot"):
            model.validate()
        model._policy.partial_failures = 1
        model.validate()
        model._policy.slots[1].append(model._policy.slots[-1].pop())
        with pytest.raises(InvariantError, match="is in slot 1 instead of"):
            model.validate()  # a lower slot is damage


class TestLiveAreas:
    def test_freed_area_is_reported(self, small: PerCpu) -> None:
        ptr = small.alloc(8)
        small.free(ptr)
        with pytest.raises(InvariantError, match=r"the area at 0x80 is gone: .* freed before"):
            small.validate({ptr: 8})

    def test_unknown_area_is_a_leak(self, small: PerCpu) -> None:
        ptr, _lost = small.alloc(8), small.alloc(16)
        with pytest.raises(InvariantError, match=r"16 bytes at offset 72 of chunk 0 .* a leak"):
            small.validate({ptr: 8})

    def test_unknown_area_of_a_later_chunk_is_a_leak(self, small: PerCpu) -> None:
        ptr, _lost = small.alloc(1024), small.alloc(1000)
        with pytest.raises(InvariantError, match=r"1000 bytes at offset 0 of chunk 2 .* a leak$"):
            small.validate({ptr: 1024})

    def test_area_of_another_size(self, small: PerCpu) -> None:
        ptr = small.alloc(8)
        with pytest.raises(InvariantError, match="has 8 bytes in the map, 16 were requested"):
            small.validate({ptr: 16})
        with pytest.raises(InvariantError, match="has 8 bytes in the map, 1 was requested"):
            small.validate({ptr: 1})

    @pytest.mark.parametrize("more", [-1, 0, 6, 7, 16])
    def test_area_may_have_up_to_6_bytes_more(self, small: PerCpu, more: int) -> None:
        # a tail of up to 3 bytes stays with an area, and a head of up to 3 bytes comes to it
        live = {small.alloc(20 + more, 4): 20}
        if 0 <= more <= 6:
            small.validate(live)
        else:
            words = f"the area at 0x80 has {20 + more} bytes in the map, 20 were requested$"
            with pytest.raises(InvariantError, match=words):
                small.validate(live)

    def test_every_wrong_area_is_reported(self) -> None:
        with Model(**TINY) as model:
            freed, short, bare = model.alloc(8), model.alloc(8), model.alloc(100)
            model.free(freed)
            chunk(model).populated[2:] = [0] * 14
            with pytest.raises(InvariantError) as caught:
                model.validate({freed: 8, short: 16, bare: 100})
        text = str(caught.value)
        assert "the area at 0x80 is gone" in text
        assert "the area at 0x88 has 8 bytes in the map, 16 were requested" in text
        assert "the area at 0x90 is in pages [2], which are not held" in text
        assert text.startswith("4 ")  # the last one also without being asked

    def test_pointer_that_leads_to_another_place(self) -> None:
        class Misled(Model):
            def locate(self, ptr: int) -> Location:
                place = super().locate(ptr)
                return place._replace(offset=place.offset + 8)

        with Misled(**TINY) as model:
            ptr = model.alloc(8)
            words = "the area at 0x80 has 0 bytes in the map, 8 .*; 8 bytes at offset 64 .* a leak"
            with pytest.raises(InvariantError, match=words):
                model.validate({ptr: 8})

    def test_static_area_is_one_too(self, small: PerCpu) -> None:
        eight: Any = np.int64(8)
        small.validate({small.static_ptr: 64, small.alloc(8): eight})

    @pytest.mark.parametrize(
        "live", [[1], {"x": 8}, {64: b"contents"}, {64: [b"one"]}, {64: None}, 5], ids=str
    )
    def test_wrong_argument_type(self, small: PerCpu, live: Any) -> None:
        with pytest.raises(ConfigError, match=r"live=.* a mapping from pointers"):
            small.validate(live)

    def test_message_shows_a_wrong_argument(self, small: PerCpu) -> None:
        with pytest.raises(ConfigError, match=r"^live=\{8: \[b'one'\]\}: a mapping .* of 2 bytes"):
            small.validate({8: [b"one"]})

    def test_contents(self, real: PerCpu) -> None:
        ptr = real.alloc(4)
        with real.view(ptr, 2) as view:
            view[:4] = b"good"
        real.validate({ptr: [bytes(4), bytes(4), b"good"]})
        with pytest.raises(InvariantError, match="CPU 2's copy of the area at 0x3000 has changed"):
            real.validate({ptr: [bytes(4), bytes(4), b"evil"]})
        # the copies may be known in part: an area is as long as the longest
        real.validate({ptr: [b"", bytes(1), b"good"]})
        with pytest.raises(InvariantError, match="has 4 bytes in the map, 5 were requested"):
            real.validate({ptr: [b"", bytes(5), b"good"]})

    def test_contents_of_areas_with_more_bytes_than_requested(self, real: PerCpu) -> None:
        ptr = real.alloc(12)
        with real.view(ptr, 0) as view:
            view[:] = b"contentsTAIL"
        copies = [b"contents", bytes(8), bytes(8)]
        real.validate({ptr: copies})

    def test_rounded_in_bytes_belong_to_the_area(self, small: PerCpu) -> None:
        # 14 bytes in a free range of 16; then a head of 2 bytes goes to an area of 2 bytes
        freed, after = small.alloc(16), small.alloc(16)
        small.free(freed)
        live = {small.alloc(14): 14, after: 16, small.alloc(2, 1): 2, small.alloc(4, 4): 4}
        small.validate(live)


def test_message_lists_everything(model: Model) -> None:
    chunk(model).free_size = 8
    chunk(model).immutable = True
    with pytest.raises(InvariantError, match=r"^3 of the allocator's invariants are broken: .*;"):
        model.validate()
