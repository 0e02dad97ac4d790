"""What each part of the training brings: the optimiser, soft occupancy, rounding in turns.

    python scripts/ablations/training.py MESH... [--preset fast] [--seeds 3]

Each variant is the preset without one part. Adam gets the learning rate that is tuned for it.
"""

from dataclasses import replace

from harness import run

from doh3d.evaluation.baselines import doh_learning_rate
from doh3d.fitting.compress import make_config

LATENTS = (350, 1100, 4000)


def variants(arguments):
    found = {}
    for latent in LATENTS:
        whole = make_config(preset=arguments.preset, latent=latent)
        adam = replace(whole, optimizer="adam", learning_rate=doh_learning_rate(latent))
        found |= {
            f"n {latent}, all": whole,
            f"n {latent}, Adam": adam,
            f"n {latent}, hard occupancy": replace(whole, softness=0.0),
            f"n {latent}, rounded at the end": replace(whole, quantizer="ptq", bits=7),
            f"n {latent}, a quarter of the steps": replace(whole, steps=whole.steps // 4),
            f"n {latent}, Adam, 4 times the steps": replace(adam, steps=4 * whole.steps),
        }
    return found


if __name__ == "__main__":
    run("training", __doc__, variants)
