"""Open3D, which takes seconds to load and is an extra: one place that imports it."""

from __future__ import annotations

from typing import Any

from doh3d.errors import ConfigError

SYSTEM_PACKAGES = "libusb-1.0-0 libgl1 libegl1 libvulkan1 mesa-vulkan-drivers"


def import_open3d() -> Any:
    """Import Open3D; ConfigError, with what to install, where that fails."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        # OSError is what a missing system library looks like.
        reason = (str(error).strip() or "unknown reason").splitlines()[0]
        raise ConfigError(
            f"Open3D cannot be loaded ({reason}); install it with: "
            f'pip install "doh3d[view]", and the system packages {SYSTEM_PACKAGES}'
        ) from error
    return open3d
