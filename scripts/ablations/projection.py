"""Hadamard against dense projection, at the same latent and network.

python scripts/ablations/projection.py MESH... [--preset fast] [--seeds 3]
"""

from harness import run

from doh3d.signals.shape import shape_config


def variants(arguments):
    return {
        f"{projection} n={latent}": shape_config(
            preset=arguments.preset, latent=latent, projection=projection
        )
        for latent in (500, 1000, 2000)
        for projection in ("hadamard", "dense")
    }


if __name__ == "__main__":
    run("projection", __doc__, variants)
