"""How good and how small a compressed shape is: metrics, rate and distortion, other codecs."""
