"""A GPU that is not there: tensors with real values that refuse to meet tensors of the host.

Within `StandInGpu`, PyTorch calls are watched. A tensor that is copied to `cuda` stays in the host's memory
but is marked, everything computed from it is marked too, and its `device` is `cuda:0`. What a GPU would
refuse, an operation on tensors of both sides, is an error. What a GPU would wait for, a value that the host
reads, is counted. Results are those of the CPU, so they can be compared with it. FlashAttention's two
kernels, which exist on GPUs only, are replaced by `varlen_reference`; PyTorch's own code around them runs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from review_sentiment.models.varlen_attention import CAUSAL, varlen_reference

GPU = torch.device("cuda", 0)
READS = ("aten._local_scalar_dense.default", "aten.nonzero.default", "aten.masked_select.default")


class StandInGpu(TorchFunctionMode):
    """A context in which `cuda` exists; `waits` names the calls for which the host waits for the GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._watch = _Watch(self.waits)

    def __enter__(self) -> StandInGpu:
        """Start to watch."""
        self._watch.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop to watch."""
        super().__exit__(*error)
        self._watch.__exit__(*error)

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Answer for the device in what depends on it."""
        kwargs = dict(kwargs or {})
        first = args[0] if args else None
        there = isinstance(first, torch.Tensor) and is_there(first)
        if func == torch.Tensor.device.__get__:  # type: ignore[attr-defined]
            return GPU if there else func(*args)
        if func == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return there
        if func is torch.Tensor.pin_memory:
            return first
        if func in (torch.Tensor.cpu, torch.Tensor.tolist) and there:
            self.waits.append(func.__name__)
        if func is torch.Tensor.numpy:
            assert not there, "numpy does not read a GPU"
        if func is torch.Tensor.cpu:
            return _copied(first, to_gpu=False) if there else first
        if func is torch.Tensor.to:
            return self._to(args, kwargs)
        to_gpu = _type_of(kwargs.get("device")) == "cuda"
        if to_gpu:
            kwargs["device"] = "cpu"
        result = func(*args, **kwargs)
        return put_there(result) if to_gpu else result

    def _to(self, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, *options = args
        like = options[0] if options and isinstance(options[0], torch.Tensor) else None
        wanted = kwargs.pop("device", None) or next(filter(_type_of, options), like)
        if wanted is None:
            return torch.Tensor.to(tensor, *options, **kwargs)
        to_gpu = is_there(like) if wanted is like else _type_of(wanted) == "cuda"
        options = [like.dtype] if like is not None else [one for one in options if one is not wanted]
        result = tensor.to(*options, **kwargs) if options or "dtype" in kwargs else tensor
        if to_gpu == is_there(tensor):
            return result
        if not to_gpu:
            self.waits.append("to")
        return _copied(result, to_gpu)


class _Watch(TorchDispatchMode):
    """What happens below autograd, in forward and backward passes."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = any(map(is_there, tensors))
        # A number on the host may go into any operation on a GPU.
        here = [tensor for tensor in tensors if not is_there(tensor) and tensor.ndim]
        assert not (there and here), f"{func} of tensors on the GPU and on the host, {here[0].shape}"
        reads_mask = str(func) == "aten.index.Tensor" and any(t.dtype == torch.bool for t in tensors[1:])
        if there and (str(func) in READS or reads_mask):
            self._waits.append(str(func))
        kernel = KERNELS.get(str(func), func)
        result = kernel(*args, **(kwargs or {}))
        return put_there(result) if there else result


def _flash_forward(*inputs: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    q, k, v, *starts_and_most = inputs[:7]
    causal, scale, _window, grouped = inputs[7:11]
    assert (causal, grouped) == (True, True)
    assert {q.dtype, k.dtype, v.dtype} in ({torch.bfloat16}, {torch.float16})
    assert q.shape[-1] % 8 == 0
    assert {states.stride(-1) for states in (q, k, v)} == {1}
    output = _apart(_reference, q, k, v, starts_and_most, scale)
    return output.detach(), torch.zeros(q.shape[1], q.shape[0]), torch.zeros(2, dtype=torch.uint64)


def _flash_backward(*inputs: Any) -> tuple[torch.Tensor, ...]:
    gradient, q, k, v, _output, _sums, *starts_and_most = inputs[:10]

    def gradients() -> tuple[torch.Tensor, ...]:
        leaves = [states.detach().requires_grad_() for states in (q, k, v)]
        return torch.autograd.grad(_reference(*leaves, starts_and_most, inputs[12]), leaves, gradient)

    return _apart(gradients)


def _reference(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, starts_and_most: list[Any], scale: float
) -> torch.Tensor:
    return varlen_reference(q, k, v, *starts_and_most, scale=scale, window_size=CAUSAL, enable_gqa=True)


def _apart(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a thread, where nothing is watched and autograd works."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *args).result()


KERNELS = {
    "torch_attn._varlen_attn.default": _flash_forward,
    "torch_attn._varlen_attn_backward.default": _flash_backward,
}


def is_there(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is on the GPU."""
    return getattr(tensor.untyped_storage(), "is_there", False)


def put_there(result: Any) -> Any:
    """Mark tensors, or the weights of a model, as being on the GPU."""
    if isinstance(result, torch.nn.Module):
        put_there([*result.parameters(), *result.buffers()])
    for leaf in tree_leaves(result):
        if isinstance(leaf, torch.Tensor):
            leaf.untyped_storage().is_there = True  # type: ignore[attr-defined]
    return result


def _copied(tensor: torch.Tensor, to_gpu: bool) -> torch.Tensor:
    copy = tensor.detach().numpy(force=True).copy() if not to_gpu else None
    return put_there(tensor.clone()) if copy is None else torch.from_numpy(copy)


def _type_of(device: Any) -> str | None:
    return torch.device(device).type if isinstance(device, str | torch.device) else None
