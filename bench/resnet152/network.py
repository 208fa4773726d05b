"""ResNet-152 as torchvision has it (or, where torchvision is not there, the same network by its paper's table), and the arms: who computes what
stands behind a convolution."""
from __future__ import annotations

import types

import torch
from torch import nn

import actune

DEPTHS = {"resnet152": (3, 8, 36, 3), "tiny": (1, 1, 1, 1)}


class Bottleneck(nn.Module):
    """1x1, 3x3 (where the stride is), 1x1 to four times the width; batch norm behind each, the input added before the last ReLU."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self, depths: tuple, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, depth in enumerate(depths):
            blocks = []
            for k in range(depth):
                blocks.append(Bottleneck(inputs, 64 << i, 2 if i > 0 and k == 0 else 1))
                inputs = 256 << i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def build(name: str) -> tuple[nn.Module, str]:
    """The network with weights from a fixed seed, batch norms that have seen something, and whose definition it is."""
    torch.manual_seed(152)
    try:
        if name != "resnet152":
            raise ImportError
        import torchvision

        model, origin = torchvision.models.resnet152(), f"torchvision {torchvision.__version__}"
    except ImportError:
        model, origin = ResNet(DEPTHS[name]), "bench/resnet152/network.py"
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model, origin


def blocks(model: nn.Module) -> list:
    return [module for module in model.modules() if hasattr(module, "conv3") and hasattr(module, "downsample")]


class OurReLU(nn.Module):
    """The activation alone: what a faster ReLU can give."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = actune.jit("relu", layout="nchw")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.kernel(x)


def with_our_relu(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        if isinstance(getattr(module, "relu", None), nn.ReLU):
            module.relu = OurReLU()
    return model


def folded(bn: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch norm at inference is x * scale + shift, in f32."""
    scale = bn.weight.detach().float() / torch.sqrt(bn.running_var.float() + bn.eps)
    return scale, bn.bias.detach().float() - bn.running_mean.float() * scale


def fused_for_inference(model: nn.Module) -> nn.Module:
    """Batch norm, residual and ReLU behind a convolution in one kernel each."""
    plain, relu, residual = (actune.jit(spec, layout="nchw") for spec in ("scale_shift", "scale_shift | relu", "scale_shift | add | relu"))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = relu(self.conv1(x), *self.folded1)
        y = relu(self.conv2(y), *self.folded2)
        other = x if self.downsample is None else plain(self.downsample[0](x), *self.folded_other)
        return residual(self.conv3(y), *self.folded3, other)

    for block in blocks(model):
        block.folded1, block.folded2, block.folded3 = folded(block.bn1), folded(block.bn2), folded(block.bn3)
        if block.downsample is not None:
            block.folded_other = folded(block.downsample[1])
        block.forward = types.MethodType(forward, block)
    stem = folded(model.bn1)
    model.bn1, model.relu = nn.Identity(), nn.Identity()
    model.relu.forward = lambda x: relu(x, *stem)
    return model


def fused_for_training(model: nn.Module) -> nn.Module:
    """PyTorch keeps batch norm; residual and ReLU are one kernel, forward and backward, the other ReLUs ours."""
    add_relu = actune.jit("add | relu", layout="nchw")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return add_relu(self.bn3(self.conv3(y)), x if self.downsample is None else self.downsample(x))

    for block in blocks(model):
        block.forward = types.MethodType(forward, block)
    return with_our_relu(model)
