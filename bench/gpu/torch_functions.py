"""What a user of PyTorch writes for a spec. Parameters are named as the ports of our plan; "y" is what forward gave. Backward: the kernel that
autograd calls."""
import torch
import torch.nn.functional as F

aten = torch.ops.aten


def bias_gelu_clip(x, bias):
    return torch.clamp(F.gelu(x + bias, approximate="tanh"), -6, 6)


def bias_gelu_clip_backward(x, bias, dy):
    before = x + bias
    inside = F.gelu(before, approximate="tanh")
    return aten.gelu_backward(torch.where((inside >= -6) & (inside <= 6), dy, 0), before, approximate="tanh")


def scale_shift_add_relu(x, scale, shift, add):
    return F.relu(x * scale + shift + add)


def scale_shift_add_relu_backward(y, scale, dy):
    return aten.threshold_backward(dy, y, 0) * scale


FORWARD = {
    "identity": lambda x: x.clone(),
    "relu": lambda x: F.relu(x),
    "gelu": lambda x: F.gelu(x),
    "silu": lambda x: F.silu(x),
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "elu": lambda x: F.elu(x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "tanh": lambda x: torch.tanh(x),
    "leaky_relu": lambda x: F.leaky_relu(x),
    "clip(0, 6)": lambda x: torch.clamp(x, 0, 6),
    "hardswish": lambda x: F.hardswish(x),
    "mish": lambda x: F.mish(x),
    "prelu(alpha=channel)": lambda x, alpha: F.prelu(x, alpha.flatten()),
    "add | relu": lambda x, add: F.relu(x + add),
    "silu | mul": lambda x, mul: F.silu(x) * mul,
    "bias | gelu_tanh | clip(-6, 6)": bias_gelu_clip,
    "scale_shift | add | relu": scale_shift_add_relu,
}

BACKWARD = {
    "relu": lambda y, dy: aten.threshold_backward(dy, y, 0),
    "gelu": lambda x, dy: aten.gelu_backward(dy, x),
    "silu": lambda x, dy: aten.silu_backward(dy, x),
    "gelu_tanh": lambda x, dy: aten.gelu_backward(dy, x, approximate="tanh"),
    "elu": lambda x, dy: aten.elu_backward(dy, 1, 1, 1, False, x),
    "sigmoid": lambda y, dy: aten.sigmoid_backward(dy, y),
    "tanh": lambda y, dy: aten.tanh_backward(dy, y),
    "leaky_relu": lambda x, dy: aten.leaky_relu_backward(dy, x, 0.01, False),
    "clip(0, 6)": lambda x, dy: aten.hardtanh_backward(dy, x, 0, 6),
    "hardswish": lambda x, dy: aten.hardswish_backward(dy, x),
    "mish": lambda x, dy: aten.mish_backward(dy, x),
    "bias | gelu_tanh | clip(-6, 6)": bias_gelu_clip_backward,
    "grad_clip(1) | relu": lambda y, dy: torch.clamp(aten.threshold_backward(dy, y, 0), -1, 1),
    "scale_shift | add | relu": scale_shift_add_relu_backward,
}
FORWARD["grad_clip(1) | relu"] = FORWARD["relu"]


def bare(spec):
    """"[accuracy=fast] gelu" is gelu to a library that has one of each."""
    return spec.split("]", 1)[1].strip() if spec.startswith("[") else spec


def find(spec, direction):
    """None where PyTorch has nothing that computes just this (prelu's backward also makes the parameter's gradient)."""
    return (BACKWARD if direction == "backward" else FORWARD).get(bare(spec))
