"""Every library has its own words for a lack of memory; the advice is the same."""

from __future__ import annotations

import errno

import pytest
import torch

from front_door.terminal.error_text import error_text
from review_sentiment.errors import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("std::bad_alloc"),
        RuntimeError("std::bad_alloc"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB"),
        torch.OutOfMemoryError("of the GPU"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in"),
        RuntimeError("CUDA driver error: out of memory"),  # expandable segments
        RuntimeError("Triton Error [CUDA]: out of memory"),
        # The first product of a process: cuBLAS had no memory left for its handle.
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),  # cuDNN 8
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),  # cuDNN 9
        torch.distributed.DistBackendError(
            "NCCL error in: NCCLUtils.cpp:94, unhandled cuda error (run with NCCL_DEBUG=INFO for details)\n"
            "Last error:\nFailed to CUDA calloc async 608 bytes"
        ),
        torch.distributed.DistBackendError("NCCL error\nLast error:\nCuda failure 2 'out of memory'"),
        RuntimeError("could not create a primitive"),
        RuntimeError("could not create a memory object"),
        RuntimeError(
            "unable to mmap 538060672 bytes from file </m.safetensors>: Cannot allocate memory (12)"
        ),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        OSError("Unable to load weights: Cannot allocate memory (os error 12)"),
    ],
)
def test_a_lack_of_memory_is_recognised_and_explained(error: Exception) -> None:
    assert is_out_of_memory(error)
    outer = ValueError("the step failed")
    outer.__cause__ = error
    assert "are free now. Close other programs, lower training.tokens_per_pass" in error_text(outer)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not match"),
        RuntimeError("could not create a primitive descriptor for the matmul primitive"),
        ValueError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasGemmEx( handle, opa)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_other_errors_are_not_a_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
