"""Latent size against target size: generated weights from 512 on, at each latent length.

python scripts/ablations/target_size.py MESH... [--preset fast] [--seeds 3]
"""

from dataclasses import replace

from harness import run

from doh3d.signals.shape import shape_config

LATENTS = (250, 500, 1000, 2000)
WEIGHTS = (512, 1024, 2048, 4096, 8192, 16_384)


def width_for(weights, base):
    """Width whose network has the number of weights nearest to `weights`."""
    return min(range(2, 129), key=lambda w: abs(replace(base, width=w).weight_count - weights))


def variants(arguments):
    found = {}
    for latent in LATENTS:
        base = shape_config(preset=arguments.preset, latent=latent, octaves=3).architecture
        for weights in WEIGHTS:
            config = shape_config(
                preset=arguments.preset, latent=latent, octaves=3, width=width_for(weights, base)
            )
            found[f"n={latent} P~{weights} (P={config.architecture.weight_count})"] = config
    return found


if __name__ == "__main__":
    run("target_size", __doc__, variants)
