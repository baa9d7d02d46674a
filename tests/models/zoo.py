"""Models that people bring, small and with random weights: how each is built, fed, and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Model:
    """One model of the table.

    Attributes:
        package: what has to be installed.
        build: makes the model, with the weights of the present seed.
        inputs: positional arguments of some rows, drawn from the present seed.
        scores: reads the tensor (rows, ...) of scores out of what the model returns.
        layer: a hidden Linear or convolution whose units are players.
        units: how many they are.
        maps: whether the outputs of ``layer`` are maps (rows, channels, height, width), as Grad-CAM needs them.
    """

    package: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], tuple[Any, ...]]
    scores: Callable[[Any], Tensor]
    layer: str
    units: int
    maps: bool = True


def images(size: int) -> Callable[[int], tuple[Tensor]]:
    """Images (rows, 3, size, size)."""
    return lambda rows: (torch.randn(rows, 3, size, size),)


def tokens(length: int, vocabulary: int = 50) -> Callable[[int], tuple[Tensor]]:
    """Token ids (rows, length)."""
    return lambda rows: (torch.randint(vocabulary, (rows, length)),)


def sequences(length: int, width: int) -> Callable[[int], tuple[Tensor]]:
    """Numbers (rows, length, width)."""
    return lambda rows: (torch.randn(rows, length, width),)


def _torchvision(name: str, **settings: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import torchvision

        return torchvision.models.get_model(name, weights=None, **settings)

    return build


def _convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 2)], layer_scale=1.0, num_classes=10)


def _swin() -> nn.Module:
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer(
        patch_size=[4, 4], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=10
    )


def _timm(name: str, **settings: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=10, **settings)

    return build


def _bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=32, num_labels=3,
        )
    )  # fmt: skip


def _gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=32, n_embd=32, n_layer=2, n_head=4, use_cache=False))


def _llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=32, use_cache=False,
        )
    )  # fmt: skip


class Scored(nn.Module):
    """A model that returns its scores only, as games need it."""

    def __init__(self, inner: nn.Module, scores: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.scores = scores

    def forward(self, *inputs: Any) -> Tensor:
        return self.scores(self.inner(*inputs))


class Encoder(nn.Module):
    """An encoder of torch between two Linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(6, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.read(x)).mean(1))


class Recurrent(nn.Module):
    """An LSTM with a perceptron behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 16, batch_first=True)
        self.hidden = nn.Linear(16, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(self.hidden(self.lstm(x)[0][:, -1])))


class UNet(nn.Module):
    """Two steps down, two up by transposed convolutions, with the skips concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = _double(3, 8), _double(8, 16), _double(16, 32)
        self.up_two, self.up_one = nn.ConvTranspose2d(32, 16, 2, 2), nn.ConvTranspose2d(16, 8, 2, 2)
        self.back_two, self.back_one = _double(32, 16), _double(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(functional.max_pool2d(one, 2))
        three = self.three(functional.max_pool2d(two, 2))
        two = self.back_two(torch.cat([two, self.up_two(three)], 1))
        return self.head(self.back_one(torch.cat([one, self.up_one(two)], 1)))


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)),
        *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)),
    )


def mean_over_space(output: Any) -> Any:
    """Scores of an image from those of its pixels."""
    return output.mean((2, 3))


def itself(output: Any) -> Any:
    """Scores of a model that returns nothing else."""
    return output


def logits(output: Any) -> Any:
    """Scores of a model of transformers."""
    return output.logits


def last_logits(output: Any) -> Any:
    """Scores of the token after the last one."""
    return output.logits[:, -1]


def first(output: Any) -> Any:
    """Scores of a model that returns others of training besides."""
    return output if isinstance(output, Tensor) else output[0]


MODELS: dict[str, Model] = {
    "resnet18": Model(
        "torchvision", _torchvision("resnet18", num_classes=10), images(32), itself, "layer2.0.conv1", 128
    ),
    "vgg11_bn": Model("torchvision", _torchvision("vgg11_bn", num_classes=10), images(32), itself, "features.8", 256),
    "mobilenet_v3_small": Model(
        "torchvision",
        _torchvision("mobilenet_v3_small", num_classes=10),
        images(64),
        itself,
        "features.4.block.0.0",
        96,
    ),
    "densenet121": Model(
        "torchvision",
        _torchvision("densenet121", num_classes=10),
        images(32),
        itself,
        "features.denseblock2.denselayer1.conv1",
        128,
    ),
    "shufflenet_v2_x0_5": Model(
        "torchvision", _torchvision("shufflenet_v2_x0_5", num_classes=10), images(64), itself, "stage3.0.branch2.0", 48
    ),
    "efficientnet_b0": Model(
        "torchvision",
        _torchvision("efficientnet_b0", num_classes=10),
        images(64),
        itself,
        "features.3.0.block.0.0",
        144,
    ),
    "regnet_x_400mf": Model(
        "torchvision",
        _torchvision("regnet_x_400mf", num_classes=10),
        images(32),
        itself,
        "trunk_output.block2.block2-0.f.a.0",
        64,
    ),
    "googlenet": Model(
        "torchvision",
        _torchvision("googlenet", num_classes=10, aux_logits=True, init_weights=False),
        images(64),
        first,
        "inception4a.branch3.0.conv",
        16,
    ),
    "convnext": Model("torchvision", _convnext, images(32), itself, "features.1.0.block.0", 16),
    "swin": Model("torchvision", _swin, images(32), itself, "features.1.0.mlp.0", 64, maps=False),
    "timm vit": Model(
        "timm",
        _timm("vit_tiny_patch16_224", img_size=64, embed_dim=48, depth=2, num_heads=3),
        images(64),
        itself,
        "blocks.0.mlp.fc1",
        192,
        maps=False,
    ),
    "timm mobilenetv3": Model("timm", _timm("mobilenetv3_small_050"), images(64), itself, "blocks.2.0.conv_pw", 64),
    "bert": Model("transformers", _bert, tokens(12), logits, "bert.encoder.layer.0.intermediate.dense", 64, maps=False),
    "gpt2": Model("transformers", _gpt2, tokens(12), last_logits, "transformer.h.0.mlp.c_fc", 128, maps=False),
    "llama": Model("transformers", _llama, tokens(12), last_logits, "model.layers.0.mlp.up_proj", 64, maps=False),
    "nn.TransformerEncoder": Model(
        "torch", Encoder, sequences(5, 6), itself, "encoder.layers.0.linear1", 32, maps=False
    ),
    "nn.LSTM": Model("torch", Recurrent, sequences(5, 6), itself, "hidden", 12, maps=False),
    "unet": Model("torch", UNet, images(32), mean_over_space, "two.0", 16),
}
