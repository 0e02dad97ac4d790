"""Quantisation-aware training against rounding afterwards, at 3 to 8 and 16 bits.

    python scripts/ablations/quantizer.py MESH... [--preset fast] [--seeds 3]

The paper's claim is that post-training quantisation comes close. Both get the same entropy
coder. Post-training variants share one float fit, which has no rate term; the last variants
give quantisation-aware training none either.
"""

from dataclasses import replace

from harness import run

from doh3d.signals.shape import shape_config

BITS = (3, 4, 5, 6, 7, 8, 16)


def variants(arguments):
    found = {}
    for bits in BITS:
        aware = shape_config(preset=arguments.preset, bits=bits)
        found[f"qat {bits} bits"] = aware
        found[f"ptq {bits} bits"] = replace(aware, quantizer="ptq")
        found[f"qat {bits} bits, no rate term"] = replace(aware, rate_weight=0.0)
    return found


if __name__ == "__main__":
    run(
        "quantizer",
        __doc__,
        variants,
        share_fit=lambda variant: "ptq" if variant.startswith("ptq") else variant,
    )
