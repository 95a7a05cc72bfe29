"""Cutting any model at a named layer."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from medpriv.data.cohort import Column
from medpriv.deployment import deploy
from medpriv.models import back, front, split_names
from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.runtime.seeds import seeded, torch_rng


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    with seeded(0, "test"):
        return resnet18(weights=None, num_classes=3).eval()


def images(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch_rng(0, "images"))


def by_hand(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """ResNet-18 up to its second stage, step by step."""
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    return model.layer2(model.layer1(x))


def test_a_torchvision_model_is_split_by_the_name_of_a_stage(resnet: nn.Module) -> None:
    with torch.no_grad():
        features = front(resnet, "layer2")(images())
        torch.testing.assert_close(features, by_hand(resnet, images()))
    assert features.shape == (2, 128, 4, 4)


def test_and_by_the_name_of_a_node_of_its_graph(resnet: nn.Module) -> None:
    assert "layer2.1.relu_1" in split_names(resnet)
    with torch.no_grad():
        whole, node = front(resnet, "layer2"), front(resnet, "layer2.1.relu_1")
        torch.testing.assert_close(whole(images()), node(images()))


def test_a_view_of_a_torchvision_model(resnet: nn.Module) -> None:
    view = deploy(resnet, expose="features", split="layer1")
    assert view(images()).shape == (2, 64, 8, 8)


def test_batch_norm_is_in_evaluation_mode_behind_the_cut(resnet: nn.Module) -> None:
    cut = front(resnet.train(), "layer1")
    before = {name: value.clone() for name, value in cut.state_dict().items()}
    cut(images())
    resnet.eval()
    assert all(torch.equal(value, before[name]) for name, value in cut.state_dict().items())


def test_the_front_shares_its_weights_with_the_model() -> None:
    model = ImageCNN(size=16)
    cut = front(model, "conv1")
    with torch.no_grad():
        model.conv1.conv.weight.zero_()
        model.conv1.conv.bias.fill_(2.0)
    assert torch.equal(cut(torch.rand(1, 1, 16, 16)), torch.full((1, 16, 16, 16), 2.0))


@pytest.mark.parametrize("wrong", ["conv7", "conv", "", "conv4.pool", "Conv4", "dense2"])
def test_an_unknown_split_lists_the_known(wrong: str) -> None:
    listed = "conv1, conv2, conv3, conv4, conv5, conv6, dense1"
    with pytest.raises(ValueError, match=f"^unknown split {wrong!r} of ImageCNN; known: {listed}$"):
        front(ImageCNN(size=16), wrong)


def test_a_long_list_is_cut_short(resnet: nn.Module) -> None:
    with pytest.raises(ValueError, match="unknown split 'layer9' of ResNet; known: x, conv1.*…$"):
        front(resnet, "layer9")


def test_a_model_of_the_readers_own() -> None:
    model = nn.Sequential(OrderedDict(body=nn.Linear(4, 3), relu=nn.ReLU(), head=nn.Linear(3, 2)))
    x = torch.rand(5, 4)
    torch.testing.assert_close(front(model, "relu")(x), model.relu(model.body(x)))
    assert set(split_names(model)) >= {"body", "relu", "head"}


def test_the_record_model_is_split_at_its_hidden_layers() -> None:
    model = RecordMLP([Column("age")], torch.rand(3, 1))
    assert split_names(model) == ("hidden1", "hidden2")


# --- The back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", split_names(ImageCNN(size=16)))
def test_front_and_back_are_the_model(split: str) -> None:
    with seeded(0, "split"):
        model = ImageCNN(size=16).eval()
    x = torch.rand(3, 1, 16, 16)
    f1, f2 = front(model, split), back(model, split)
    torch.testing.assert_close(f2(f1(x)), model(x))
    weights = {id(weight) for weight in model.parameters()}
    halves = [{id(weight) for weight in half.parameters()} for half in (f1, f2)]
    assert halves[1] <= weights
    assert not halves[0] & halves[1]


def test_so_are_those_of_a_torchvision_model(resnet: nn.Module) -> None:
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(back(resnet, "layer2")(front(resnet, "layer2")(x)), resnet(x))


def test_a_cut_inside_a_residual_block_is_refused(resnet: nn.Module) -> None:
    with pytest.raises(ValueError, match="also needs an earlier layer"):
        back(resnet, "layer2.0.conv1")


def test_the_back_of_an_unknown_split_lists_the_known() -> None:
    with pytest.raises(ValueError, match="unknown split 'conv9' of ImageCNN; known: conv1"):
        back(ImageCNN(size=16), "conv9")
