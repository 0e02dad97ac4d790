"""Octaves of positional encoding, and sine layers in their place.

python scripts/ablations/encoding.py MESH... [--preset fast] [--seeds 3]
"""

from harness import run

from doh3d.signals.shape import shape_config


def variants(arguments):
    found = {
        f"relu {octaves} octaves": shape_config(
            preset=arguments.preset, octaves=octaves, activation="relu"
        )
        for octaves in range(7)
    }
    for omega in (10, 20, 30):
        found[f"sine omega {omega}"] = shape_config(
            preset=arguments.preset, activation="sine", omega=omega
        )
    return found


if __name__ == "__main__":
    run("encoding", __doc__, variants)
