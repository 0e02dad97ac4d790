"""Operations on a device that is not the CPU, tried without one."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only

from doh3d.field import OccupancyField
from doh3d.hypernetwork.target import TargetWeights

# Where tensors pretend to be: nothing else of torch is there.
CARD = torch.device("meta")


class OnCard(torch.Tensor):
    """A tensor that says it is on another device, with its values here."""

    @staticmethod
    def __new__(cls, values):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=CARD,
        )

    def __init__(self, values):
        self.values_here = values

    def tolist(self):
        """Read all values; torch's own knows no tensors but its own."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} is called where the card is not")


class Card(TorchDispatchMode):
    """Computes on tensors of the card; refuses a mixture, and counts what the host reads.

    Attributes
    ----------
    reads : list of str
        Operations that gave the host a value, or a tensor, or a shape that depends on values.
    """

    def __init__(self):
        super().__init__()
        self.reads = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [each for each in tree_flatten((args, kwargs))[0] if torch.is_tensor(each)]
        held = [isinstance(each, OnCard) for each in tensors]
        moves = func in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        if any(held) and not all(held) and not moves:
            raise AssertionError(f"{func} mixes tensors of the card with others")
        target = kwargs.get("device")
        onto = any(held) if target is None else torch.device(target) == CARD
        if func is torch.ops.aten.copy_.default:
            onto = held[0]
        by_mask = "index" in str(func) and any(each.dtype == torch.bool for each in tensors[1:])
        depends = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        looks = by_mask or (bool(depends) and "index" not in str(func))
        if any(held) and (looks or (moves and not (onto and held[-1]))):
            self.reads.append(str(func))
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        here = tree_map_only(OnCard, lambda each: each.values_here, (args, kwargs))
        found = func(*here[0], **here[1])
        if onto:
            found = tree_map_only(torch.Tensor, OnCard, found)
            return return_and_correct_aliasing(func, args, kwargs, found)
        if func is torch.ops.aten.copy_.default:
            return args[0]
        return found


@pytest.fixture
def card(monkeypatch):
    """A card, with one thread of the host; a mode is a thread's own."""
    make = torch.tensor

    def tensor(*arguments, device=None, **options):
        # torch's own makes one without values, out of the mode's sight.
        made = make(*arguments, **options)
        return made if device is None else made.to(device)

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr("doh3d.thread_team._MOST_THREADS", 1)
    return Card()


def moved(field):
    """The same field with its network on the card; call it there."""
    there = [
        tuple(each.to(CARD) for each in some)
        for some in (field.weights.matrices, field.weights.biases)
    ]
    return OccupancyField(field.code, CARD, weights=TargetWeights(*there))


def test_a_mixture_is_refused_and_a_read_counted(card):
    with card:
        tensor = torch.arange(3.0).to(CARD)
        assert tensor.device == CARD
        with pytest.raises(AssertionError, match="mixes"):
            tensor + torch.ones(3)
        assert not card.reads
        tensor[1:] += 1
        assert (tensor.sum() * 2).item() == 10
        assert len(tensor.nonzero()) == 2
        assert tensor[tensor > 0].cpu().tolist() == [2, 3]
    assert len(card.reads) == 4


def hits(field, points):
    """Distances of rays and the normals where they hit, (N, 4)."""
    found = field.ray_cast(points, points.flip(1))
    return torch.cat([found.distance[:, None], found.normals], dim=1)


OPERATIONS = {
    "gradient": lambda field, points: field.gradient(points),
    "signed_distance": lambda field, points: field.signed_distance(points, resolution=16),
    "ray_cast": hits,
}


@pytest.mark.parametrize(
    "operation",
    [
        # Marching is the longest of them.
        pytest.param(name, marks=pytest.mark.slow) if name == "ray_cast" else name
        for name in OPERATIONS
    ],
)
def test_operations_stay_on_the_card(card, bunnylike, around, operation):
    on_cpu = bunnylike(1)
    points = torch.from_numpy(around(on_cpu, 30))
    expected = OPERATIONS[operation](on_cpu, points)
    with card:
        field = moved(on_cpu)
        found = OPERATIONS[operation](field, points.to(CARD))
        assert found.device == CARD
        torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5, equal_nan=True)


def test_the_host_reads_nothing_for_each_point(card, single, around):
    """Points given twice are read no oftener: checks and copies are of all at once."""
    points = np.concatenate([around(single, 60)] * 2)
    counts = []
    with card:
        field = moved(single)
        for operation in ("gradient", "ray_cast"):
            for rows in (points[:60], points):
                asked = torch.from_numpy(rows).to(CARD)
                OPERATIONS[operation](field, asked)
                card.reads.clear()
                OPERATIONS[operation](field, asked)
                counts.append(len(card.reads))
    # Whether all numbers are finite is one read, by nonzero.
    assert counts[:2] == [1, 1]
    assert counts[2] == counts[3] < 400


def test_a_section_and_a_sample_come_from_the_card(card, single):
    with card:
        field = moved(single)
        section = field.slice((0, 0, 1), resolution=32)
        places, normals = field.sample_surface(20, seed=1, resolution=16)
    assert np.array_equal(section.logits, single.slice((0, 0, 1), resolution=32).logits)
    expected = single.sample_surface(20, seed=1, resolution=16)
    np.testing.assert_allclose(places, expected[0], atol=1e-5)
    np.testing.assert_allclose(normals, expected[1], atol=1e-5)
