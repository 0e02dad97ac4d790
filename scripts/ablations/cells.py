"""How many cells: one network of many weights, or many of few, at each latent length.

python scripts/ablations/cells.py MESH... [--preset fast] [--seeds 3]

All cells' networks have about as many weights together, and a step sees as many points.
"""

import dataclasses
import math

from harness import run

from doh3d.signals.shape import shape_config

LATENTS = (1700, 4000, 9500, 21_500)
LEVELS = (0, 1, 2, 3, 4)


def variants(arguments):
    found = {}
    for latent in LATENTS:
        plan = shape_config(preset=arguments.preset, latent=latent)
        for levels in LEVELS:
            width = plan.architecture.width * math.sqrt(2.0 ** (plan.levels - levels))
            config = shape_config(
                preset=arguments.preset,
                latent=latent,
                width=4 * max(1, round(width / 4)),
                levels=levels,
            )
            cells = 2**levels
            name = f"n={latent}, {cells} x {config.architecture.width}"
            found[name] = dataclasses.replace(
                config,
                bits=plan.bits,
                batch_size=plan.batch_size,
                learning_rate=plan.learning_rate,
            )
    return found


if __name__ == "__main__":
    run("cells", __doc__, variants)
