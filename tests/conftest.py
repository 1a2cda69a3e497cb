"""Settings for the whole run. Without a GPU, Triton kernels are run by Triton's interpreter."""

import os


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


# Triton reads this when a kernel is decorated, so it must be set before any kernel module is imported.
if not _has_gpu():
    os.environ["TRITON_INTERPRET"] = "1"
