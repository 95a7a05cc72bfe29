"""Cutting a model at a named layer: ``f = f2(f1(x))``; ``f1`` is the front, ``f2`` the back."""

from __future__ import annotations

from torch import Tensor, fx, nn

from medpriv.models.images import ImageCNN
from medpriv.models.records import RecordMLP
from medpriv.models.reports import ReportClassifier, TokenFeatures

# torchvision is imported where a graph is traced: a second and more, for what only images need.


def split_names(model: nn.Module) -> tuple[str, ...]:
    """The names at which a model can be cut, from input to output.

    The course's own models name their blocks, a report classifier the layers of its encoder; any
    other traceable model, torchvision's among them, offers every node of its graph.
    """
    if isinstance(model, ReportClassifier):
        return tuple(f"layer{number}" for number in range(1, model.encoder.depth + 1))
    if isinstance(model, (ImageCNN, RecordMLP)):
        return tuple(name for name, _ in model.named_children())[:-1]
    from torchvision.models.feature_extraction import get_graph_node_names

    return tuple(get_graph_node_names(model)[1])


def front(model: nn.Module, split: str) -> nn.Module:
    """``f1``: the model from its input up to and including the layer ``split``.

    The result shares its weights with ``model``, is in evaluation mode, and returns the features
    as one tensor. A block's name stands for the block's last operation (for ``conv4`` of
    ``ImageCNN``, the pooling). The cut is made by ``torchvision.models.feature_extraction``;
    of a report classifier the features are those of ``TokenFeatures``.

    Raises:
        ValueError: the model has no layer of this name; the message lists those it has.
    """
    _check_split(model, split)
    if isinstance(model, ReportClassifier):
        return TokenFeatures(model.encoder, int(split.removeprefix("layer"))).eval()
    from torchvision.models.feature_extraction import create_feature_extractor

    cut = create_feature_extractor(model, return_nodes={split: "features"})
    return _Features(cut).eval()


def back(model: nn.Module, split: str) -> nn.Module:
    """``f2``: the model behind the layer ``split``, from its features to the answer.

    ``back(model, split)(front(model, split)(x))`` is ``model(x)`` in evaluation mode. The result
    shares its weights with ``model``.

    Raises:
        ValueError: the model has no layer of this name, or what is behind it also needs the input
            itself or an earlier layer, such as a residual connection around the split; or it is a
            report classifier, whose back half needs to know which tokens are padding.
    """
    _check_split(model, split)
    if isinstance(model, ReportClassifier):
        raise ValueError("the back half of a ReportClassifier cannot be had; expose='features'")
    from torchvision.models.feature_extraction import NodePathTracer

    model.eval()  # as create_feature_extractor does for the front
    tracer = NodePathTracer()
    cut = fx.GraphModule(model, tracer.trace(model))
    graph = cut.graph
    names = tracer.node_to_qualname.items()
    # A block's name stands for the last of its operations.
    at = [node for node, name in names if name == split or name.startswith(f"{split}.")][-1]
    (start,) = (node for node in graph.nodes if node.op == "placeholder")
    with graph.inserting_before(start):
        features = graph.placeholder("features")
    at.replace_all_uses_with(features)
    graph.eliminate_dead_code()
    if start.users:
        raise ValueError(
            f"{type(model).__name__} cannot be cut in two at {split!r}: what is behind it also "
            "needs an earlier layer; choose a layer that everything passes through"
        )
    graph.erase_node(start)
    cut.delete_all_unused_submodules()
    cut.recompile()
    return cut.eval()


def _check_split(model: nn.Module, split: str) -> None:
    known = split_names(model)
    named = split in known or any(name.startswith(f"{split}.") for name in known)
    if not named:
        listed = ", ".join(known if len(known) <= 40 else (*known[:40], "…"))
        raise ValueError(f"unknown split {split!r} of {type(model).__name__}; known: {listed}")


class _Features(nn.Module):
    """Takes the one tensor out of the dictionary that the feature extractor returns."""

    def __init__(self, cut: nn.Module) -> None:
        super().__init__()
        self.cut = cut

    def forward(self, x: Tensor) -> Tensor:
        return self.cut(x)["features"]
