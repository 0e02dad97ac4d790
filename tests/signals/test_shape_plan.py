"""What a shape's fit should look like."""

import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from doh3d.options import CompressOptions
from doh3d.signals.shape import prepare
from doh3d.signals.shape_plan import plan_for_shape

LATENTS = st.integers(50, 60_000)


def work(plan):
    """Weights that are applied to samples in all steps: about what a fit takes."""
    return plan.architecture.weight_count * plan.effort.steps * plan.effort.batch_size


@given(LATENTS, st.floats(0, 0.299))
def test_what_is_curved_has_one_plan(latent, share):
    assert plan_for_shape(latent, flat_share=share) == plan_for_shape(latent)


@given(LATENTS, st.sampled_from([0.3, 0.5, 1.0]), st.sampled_from(["fast", "default", "best"]))
def test_what_is_flat_has_fewer_weights_and_more_steps(latent, share, preset):
    curved, flat = plan_for_shape(latent, preset), plan_for_shape(latent, preset, flat_share=share)
    assert flat.effort.steps > curved.effort.steps
    assert flat.effort.batch_size <= curved.effort.batch_size
    weights = [each.architecture.weight_count * 2**each.levels for each in (flat, curved)]
    # Widths are multiples of four.
    assert weights[0] < 1.2 * weights[1]
    # Fewer cells have larger networks; what that costs is less than half of the work.
    assert work(flat) <= 2 * work(curved)
    assert flat.levels <= curved.levels + 1


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_what_is_flat_has_one_learning_rate_between_those_of_a_network_and_of_cells(share):
    curved = [plan_for_shape(latent).learning_rate for latent in (1828, 10_314)]
    flat = {plan_for_shape(latent, flat_share=share).learning_rate for latent in (1828, 10_314)}
    (rate,) = flat
    assert curved[0] > rate > curved[1]
    # With few steps it is that of a network that is not flat.
    short = {plan_for_shape(n, "fast", flat_share=share).learning_rate for n in (1828, 10_314)}
    assert short == {curved[0]}
    assert plan_for_shape(1828, "best", flat_share=share).learning_rate == rate


def test_a_flat_surface_has_one_network_up_to_a_longer_latent():
    assert plan_for_shape(4459).levels == plan_for_shape(4459, flat_share=0.4).levels == 1
    assert plan_for_shape(10_294).levels == plan_for_shape(10_294, flat_share=0.4).levels + 1 == 3
    assert plan_for_shape(4459, flat_share=0.5).levels == 0
    assert plan_for_shape(4459, levels=2, flat_share=0.5).levels == 2


@pytest.mark.parametrize(("share", "mesh"), [(1.0, "box"), (0.0, "ball")])
def test_a_shape_is_planned_by_its_own_surface(share, mesh):
    made = trimesh.creation.box() if mesh == "box" else trimesh.creation.icosphere(subdivisions=5)
    config = prepare(made).config(CompressOptions(), 1000)
    plan = plan_for_shape(1000, flat_share=share)
    assert (config.steps, config.architecture.width) == (
        plan.effort.steps,
        plan.architecture.width,
    )


def test_what_is_curved_takes_shorter_steps_where_there_are_many():
    rates = [plan_for_shape(1828, name).learning_rate for name in ("fast", "default", "best")]
    assert rates[2] < rates[1] == rates[0]
    of_cells = {plan_for_shape(10_314, n).learning_rate for n in ("fast", "default", "best")}
    assert len(of_cells) == 1
