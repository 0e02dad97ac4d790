"""Where a file's bytes go: latent, biases, and the rest, with and without a rate on biases.

python scripts/ablations/byte_shares.py MESH... [--preset fast] [--seeds 3]
"""

from dataclasses import replace

from harness import run

from doh3d.signals.shape import shape_config


def variants(arguments):
    found = {}
    for latent in (250, 500, 1000, 2000, 4000):
        config = shape_config(preset=arguments.preset, latent=latent)
        found[f"n={latent}"] = config
        found[f"n={latent}, no rate term"] = replace(config, rate_weight=0.0)
    return found


if __name__ == "__main__":
    run("byte_shares", __doc__, variants)
