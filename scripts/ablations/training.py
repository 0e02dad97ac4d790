"""What limits quality at a size, and what each part of the training brings.

    python scripts/ablations/training.py MESH... [--preset fast] [--seeds 3]

Each variant changes one thing of the preset. Adam has the learning rate that was tuned for it, a
float32 latent has no rate term and nothing rounded, and "rounded at the end" has no rate term.
"""

from dataclasses import replace

from harness import run

from doh3d.signals.shape import shape_config
from peers.networks import doh_learning_rate

LATENTS = (350, 1100, 4000)


def variants(arguments):
    found = {}
    for latent in LATENTS:
        whole = shape_config(preset=arguments.preset, latent=latent)
        adam = replace(whole, optimizer="adam", learning_rate=doh_learning_rate(latent))
        wide = shape_config(
            preset=arguments.preset, latent=latent, width=2 * whole.architecture.width
        )
        found |= {
            f"n {latent}": whole,
            f"n {latent}, 4 times the steps": replace(whole, steps=4 * whole.steps),
            f"n {latent}, Adam": adam,
            f"n {latent}, Adam, 4 times the steps": replace(adam, steps=4 * whole.steps),
            f"n {latent}, hard occupancy": replace(
                whole, surface_sampling=replace(whole.surface_sampling, softness=0.0)
            ),
            # As they were before: twice the finest of the graded ones, half of the coarsest.
            f"n {latent}, equal steps": replace(
                whole, graded=False, bits=whole.bits + 1, rounding_start=0.6
            ),
            f"n {latent}, rounded at the end": replace(whole, quantizer="ptq"),
            f"n {latent}, float32": replace(whole, bits=32),
            f"n {latent}, twice the width": replace(wide, steps=whole.steps),
            f"n {latent}, half of the points near the surface": replace(
                whole, surface_sampling=replace(whole.surface_sampling, near_fraction=0.5)
            ),
        }
    return found


if __name__ == "__main__":
    run("training", __doc__, variants)
