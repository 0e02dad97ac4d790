"""From latents to bytes and back: quantisation, entropy coding, the `.doh` container."""
